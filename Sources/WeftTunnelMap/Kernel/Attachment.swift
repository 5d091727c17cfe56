// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Glibc
import Weft

/// A program at an interface's hook.
final class Attachment: Sendable {
    enum Direction: String, CaseIterable {
        case egress, ingress

        // BPF_TCX_INGRESS and BPF_TCX_EGRESS, newer than Debian 12's headers.
        var tcx: bpf_attach_type { bpf_attach_type(rawValue: self == .ingress ? 46 : 47) }

        var clsact: bpf_tc_attach_point { self == .ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS }
    }

    /// Which hook. An interface's number rather than its name, which may have characters that a pin's can't.
    struct Place: Hashable {
        let interface: UInt32
        let direction: Direction

        var tcxPin: String { "\(direction.rawValue)-\(interface)" }
        /// A filter can't be pinned: its program's pin says that it is ours.
        var clsactPin: String { "\(direction.rawValue)-\(interface)-clsact" }

        init(interface: UInt32, direction: Direction) {
            self.interface = interface
            self.direction = direction
        }

        /// The place that a pin's name stands for, and whether it is a clsact filter.
        static func parse(_ pin: String) -> (place: Place, isClsact: Bool)? {
            let parts = pin.split(separator: "-")
            guard parts.count == 2 || parts.count == 3 && parts[2] == "clsact",
                let direction = Direction(rawValue: String(parts[0])), let interface = UInt32(parts[1])
            else { return nil }
            return (Place(interface: interface, direction: direction), parts.count == 3)
        }
    }

    let place: Place
    /// The TCX link; nil for a clsact filter.
    let link: SharedDescriptor?

    init(_ place: Place, link: SharedDescriptor?) {
        self.place = place
        self.link = link
    }

    /// Attaches by a TCX link. Nil where the kernel has none.
    static func tcx(_ place: Place, program: Int32) throws(TunnelMapError) -> Attachment? {
        let raw = bpf_link_create(program, Int32(place.interface), place.direction.tcx, nil)
        if raw >= 0 { return Attachment(place, link: SharedDescriptor(FileDescriptor(owning: raw))) }
        let code = errno
        guard code == EINVAL || code == EOPNOTSUPP else { throw failure(place, code) }
        return nil
    }

    /// Our filter's place among others.
    private static let priority: UInt32 = 0x7765
    private static let handle: UInt32 = 1

    private static func hook(_ place: Place) -> bpf_tc_hook {
        LibraryLog.install()
        var hook = bpf_tc_hook()
        // Up to the last field: the padding behind it, which libbpf wants to be zero, Swift leaves as it is.
        hook.sz = (MemoryLayout<bpf_tc_hook>.offset(of: \.parent) ?? 16) + MemoryLayout<UInt32>.size
        hook.ifindex = Int32(place.interface)
        hook.attach_point = place.direction.clsact
        return hook
    }

    private static func options() -> bpf_tc_opts {
        var options = bpf_tc_opts()
        // As above.
        options.sz = (MemoryLayout<bpf_tc_opts>.offset(of: \.priority) ?? 24) + MemoryLayout<UInt32>.size
        options.handle = handle
        options.priority = priority
        return options
    }

    /// Attaches by a filter of the clsact qdisc, in place of one that we had there before.
    static func clsact(_ place: Place, program: Int32, replacing: Bool) throws(TunnelMapError) -> Attachment {
        var hook = hook(place)
        let made = unsafe bpf_tc_hook_create(&hook)
        guard made == 0 || made == -EEXIST else { throw failure(place, -made) }
        var options = options()
        options.prog_fd = program
        if replacing { options.flags = BPF_TC_F_REPLACE.rawValue }
        let status = unsafe bpf_tc_attach(&hook, &options)
        guard status == 0 else { throw failure(place, -status) }
        return Attachment(place, link: nil)
    }

    /// The number of the program in our filter's place; nil if nothing is there.
    static func clsactProgram(_ place: Place) -> UInt32? {
        var hook = hook(place)
        var options = options()
        return unsafe bpf_tc_query(&hook, &options) == 0 ? options.prog_id : nil
    }

    /// Takes our filter away. The qdisc stays: others may have filters there, and empty it does nothing.
    static func detachClsact(_ place: Place) {
        var hook = hook(place)
        var options = options()
        unsafe bpf_tc_detach(&hook, &options)
    }

    /// A program's number.
    static func number(ofProgram descriptor: Int32) -> UInt32? {
        var information = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        // SAFETY: the kernel writes at most `length` bytes into a structure of that size.
        return unsafe bpf_obj_get_info_by_fd(descriptor, &information, &length) == 0 ? information.id : nil
    }

    private static func failure(_ place: Place, _ code: Int32) -> TunnelMapError {
        let operation =
            "attach the classifier to interface \(Interface.name(of: place.interface) ?? "\(place.interface)")"
        if code == EPERM {
            return .missingCapabilities(operation: operation, Capabilities.missing([.bpf, .netAdmin]) ?? [])
        }
        return .refused(operation: operation, errorNumber: code)
    }
}
