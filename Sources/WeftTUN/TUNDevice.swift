// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// Owns a queue of a TUN device: a network interface whose packets come to this process. It goes when the owner of its
/// last queue goes.
public final class TUNDevice: Sendable {
    private let descriptor: SharedDescriptor
    /// The interface's name.
    public let name: String
    /// What the kernel agreed to.
    public let capabilities: TUNCapabilities

    /// Which queue of an interface a descriptor is.
    public enum Role: Hashable, Sendable {
        /// The only one.
        case alone
        /// The first of several: it makes the interface.
        case opensDevice
        /// Another one.
        case joinsDevice
    }

    /// Makes an interface with several queues. The kernel keeps a flow on the queue that its packets are written to.
    /// - Parameters:
    ///   - count: 1...256.
    ///   - namespace: where it is made; nil for the calling thread's network.
    /// - Throws: as ``init(name:offloads:role:)``.
    public static func queues(
        _ count: Int, name: String, offloads: TUNCapabilities = .all, in namespace: (any TUNNamespace)? = nil
    ) throws(DatapathError) -> [TUNDevice] {
        var queues: [TUNDevice] = []
        if let namespace {
            let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL | (count > 1 ? IFF_MULTI_QUEUE : 0)
            for descriptor in try namespace.openQueues(count, name: name, flags: flags) {
                let raw = descriptor.raw
                let agreed = TUNCapabilities.negotiate(offloads) { weft_tun_set_offload(raw, $0) == 0 }
                queues.append(TUNDevice(sharing: descriptor, name: name, capabilities: agreed))
            }
            return queues
        }
        for queue in 0..<count {
            let role: Role = count == 1 ? .alone : queue == 0 ? .opensDevice : .joinsDevice
            queues.append(try TUNDevice(name: name, offloads: offloads, role: role))
        }
        return queues
    }

    /// Makes an interface that carries IP packets, or another queue of it.
    /// - Parameters:
    ///   - wanted: offloads to ask for; what the kernel refuses is left out.
    ///   - role: which queue of an interface it is.
    /// - Throws: ``DatapathError/setup(_:)`` with what to do.
    public init(
        name: String, offloads wanted: TUNCapabilities = .all, role: Role = .alone
    ) throws(DatapathError) {
        guard InterfaceName.isValidForTunnel(name) else {
            throw .setup("\"\(name)\" can't be an interface's name: 1 to 15 letters, digits, - _ or .")
        }
        let raw = unsafe open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard raw >= 0 else { throw Self.explainOpen(errno) }
        let descriptor = FileDescriptor(owning: raw)
        var flags = IFF_TUN | IFF_NO_PI
        if role != .alone { flags |= IFF_MULTI_QUEUE }
        // Another program's interface that waits for its next owner is not ours to take.
        if role != .joinsDevice { flags |= IFF_TUN_EXCL }
        var agreed = TUNCapabilities()
        if wanted.header, unsafe weft_tun_attach(raw, name, flags | IFF_VNET_HDR) == 0 {
            agreed = TUNCapabilities.negotiate(wanted) { weft_tun_set_offload(raw, $0) == 0 }
        } else if unsafe weft_tun_attach(raw, name, flags) != 0 {
            // A kernel without the header gets a plain device.
            throw Self.explain("make the interface \(name)", errno)
        }
        self.descriptor = SharedDescriptor(descriptor)
        self.name = name
        capabilities = agreed
    }

    private init(sharing descriptor: SharedDescriptor, name: String, capabilities: TUNCapabilities) {
        self.descriptor = descriptor
        self.name = name
        self.capabilities = capabilities
    }

    /// Takes over an open descriptor of a TUN device, as a service manager may hand one over.
    /// - Parameter capabilities: what was agreed for it.
    public init(adopting descriptor: consuming FileDescriptor, name: String, capabilities: TUNCapabilities) {
        // Reads and writes must not wait anywhere but where closing wakes them.
        let flags = fcntl(descriptor.raw, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor.raw, F_SETFL, flags | O_NONBLOCK) }
        self.descriptor = SharedDescriptor(descriptor)
        self.name = name
        self.capabilities = capabilities
    }

    /// The device file is what is missing in containers; the kernel itself has TUN nearly everywhere.
    private static func explainOpen(_ code: Int32) -> DatapathError {
        let knows = unsafe access("/sys/class/misc/tun", F_OK) == 0 || access("/sys/module/tun", F_OK) == 0
        let container = "in a container, start that with --device /dev/net/tun"
        switch code {
        case ENOENT where knows:
            return .setup(
                "there is no /dev/net/tun, though the kernel has TUN: \(container), or make it with "
                    + "`mkdir -p /dev/net && mknod /dev/net/tun c 10 200`")
        case ENOENT, ENODEV:
            return .setup("cannot open /dev/net/tun: the kernel has no TUN support (modprobe tun)")
        case EPERM where geteuid() != 0, EACCES where geteuid() != 0:
            return .setup("/dev/net/tun can't be opened: run as root, or give /dev/net/tun mode 0666")
        case EPERM, EACCES:
            return .setup(
                "/dev/net/tun can't be opened: neither its mode, nor a mount with nodev, nor the device rules of a container "
                    + "may forbid it; \(container)")
        default: return explain("open /dev/net/tun", code)
        }
    }

    /// What to do where a TUN device couldn't be made in another network.
    /// - Parameter code: the `errno`.
    public static func explain(makingIn namespace: String, _ name: String, _ code: Int32) -> DatapathError {
        switch code {
        case ENOENT, ENODEV, EACCES: explainOpen(code)
        default: .setup("cannot make the interface \(name) in \(namespace): \(SystemCall.message(code))")
        }
    }

    private static func explain(_ operation: String, _ code: Int32) -> DatapathError {
        switch code {
        case EPERM, EACCES: .setup("cannot \(operation): run as root or grant CAP_NET_ADMIN")
        case ENOENT, ENODEV: .setup("cannot \(operation): the kernel has no TUN support (modprobe tun)")
        case EBUSY: .setup("cannot \(operation): an interface of that name is in use; is the tunnel up already?")
        default: .setup("cannot \(operation): \(SystemCall.message(code))")
        }
    }

    var raw: Int32 { descriptor.raw }

    /// Gives it back to the system. No end may be in use any more; twice is harmless.
    public func close() { descriptor.close() }
}
