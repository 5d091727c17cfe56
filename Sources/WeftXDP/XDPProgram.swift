// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import CWeftLinux
import Glibc
import Synchronization
import Weft

/// The XDP programs of ``BPFObject/xdp`` with their maps, in the kernel.
///
/// Attachments are BPF links: they go with their descriptor, and so with the process however it ends, and the kernel
/// refuses one where somebody else's program is.
final class XDPProgram: Sendable {
    /// What the programs count, in the order of the enumeration in C.
    enum Counter: Int, CaseIterable, Sendable {
        case underlayNoSocket
        case overlayNoSocket
        case overlayTooLong
    }

    /// As MOST_QUEUES in C.
    static let mostQueues = 64

    private let object: BPFObjectOwner
    private let programs: (underlay: Int32, overlay: Int32)
    private let sockets: (underlay: Int32, overlay: Int32)
    private let addresses: Int32
    private let counters: Int32
    private let processors: Int
    private let known = Mutex<Set<IPAddress>>([])

    /// Loads the programs.
    /// - Parameters:
    ///   - port: of our datagrams.
    ///   - longest: bytes of a packet that a frame has room for; longer ones go to the kernel.
    init(port: UInt16, longest: Int) throws(DatapathError) {
        // libbpf would write to standard error, in words for its developers.
        unsafe libbpf_set_print(nil)
        object = try BPFObjectOwner(BPFObject.xdp)
        programs = (try object.program("underlay"), try object.program("overlay"))
        sockets = (try object.map("underlay_sockets"), try object.map("overlay_sockets"))
        addresses = try object.map("addresses")
        counters = try object.map("counters")
        processors = Int(libbpf_num_possible_cpus())
        var zero: UInt32 = 0
        var settings = (UInt32(port.bigEndian), UInt32(longest))
        guard unsafe bpf_map_update_elem(try object.map("settings"), &zero, &settings, 0) == 0 else {
            throw .transport(TransportError("set up the XDP program", code: errno))
        }
    }

    /// Sends a queue's frames to a socket, until that closes.
    func connect(_ socket: borrowing XDPSocket, queue: UInt32) throws(TransportError) {
        var queue = queue
        var raw = socket.raw
        let map = socket.side == .underlay ? sockets.underlay : sockets.overlay
        try SystemCall.retrying("hand queue \(queue) to its AF_XDP socket") {
            unsafe bpf_map_update_elem(map, &queue, &raw, 0)
        }
    }

    /// Says which addresses are ours. Datagrams to others stay the kernel's.
    func setAddresses(_ wanted: some Sequence<IPAddress>) throws(TransportError) {
        let wanted = Set(wanted)
        let old = known.withLock { $0 }
        for address in old.subtracting(wanted) {
            var key = Key(address)
            _ = unsafe bpf_map_delete_elem(addresses, &key)
        }
        for address in wanted.subtracting(old) {
            var key = Key(address)
            var present: UInt8 = 1
            try SystemCall.retrying("tell the XDP program the address \(address)") {
                unsafe bpf_map_update_elem(addresses, &key, &present, 0)
            }
        }
        known.withLock { $0 = wanted }
    }

    /// Four words in network order; IPv4 as IPv4-mapped IPv6.
    private struct Key: BitwiseCopyable {
        let high: UInt64
        let low: UInt64

        init(_ address: IPAddress) {
            high = address.family == .v4 ? 0 : address.high.bigEndian
            let mapped = 0xFFFF_0000_0000 | UInt64(address.v4Bits)
            low = (address.family == .v4 ? mapped : address.low).bigEndian
        }
    }

    /// What the programs counted since they were loaded, on all processors.
    func count(of counter: Counter) -> UInt64 {
        var key = UInt32(counter.rawValue)
        var values = [UInt64](repeating: 0, count: max(processors, 1))
        guard unsafe bpf_map_lookup_elem(counters, &key, &values) == 0 else { return 0 }
        return values.reduce(0, &+)
    }

    /// What to do about a program of somebody else's.
    static func taken(_ name: String) -> String {
        "\(name) has an XDP program already, of another tunnel or another program: take that off or use Driver = tun"
    }

    /// Attaches a program to a device, in driver mode or else generic.
    func attach(
        _ side: XDPSocket.Side, to interface: Int32, name: String, _ wanted: XDPOptions.Attachment?
    ) throws(DatapathError) -> XDPAttachment {
        let program = side == .underlay ? programs.underlay : programs.overlay
        var code: Int32 = 0
        for mode in wanted.map({ [$0] }) ?? XDPOptions.Attachment.allCases {
            var options = unsafe bpf_link_create_opts()
            unsafe options.sz = MemoryLayout<bpf_link_create_opts>.size
            unsafe options.flags = mode == .driver ? 1 << 2 : 1 << 1  // XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
            // A link that was just closed goes a moment later.
            for _ in 0..<20 {
                let raw = unsafe bpf_link_create(program, interface, BPF_XDP, &options)
                if raw >= 0 { return XDPAttachment(link: FileDescriptor(owning: raw), mode: mode) }
                code = -raw
                guard code == EBUSY else { break }
                usleep(10_000)
            }
            if code == EBUSY { break }
        }
        switch code {
        case EBUSY, EEXIST:
            throw .setup(Self.taken(name))
        case EPERM:
            throw .setup("cannot attach an XDP program to \(name): run as root or grant CAP_NET_ADMIN and CAP_BPF")
        default: throw .setup("cannot attach an XDP program to \(name): \(SystemCall.message(code)); use Driver = tun")
        }
    }
}

/// A program on a device, until this goes.
final class XDPAttachment: Sendable {
    private let link: FileDescriptor
    let mode: XDPOptions.Attachment

    init(link: consuming FileDescriptor, mode: XDPOptions.Attachment) {
        self.link = link
        self.mode = mode
    }
}

/// Owns an object of libbpf's.
@safe
private final class BPFObjectOwner: Sendable {
    nonisolated(unsafe) private let object: OpaquePointer

    init(_ bytes: [UInt8]) throws(DatapathError) {
        // Safe: libbpf copies the bytes before the call returns.
        let opened = unsafe bytes.withUnsafeBytes { unsafe bpf_object__open_mem($0.baseAddress, $0.count, nil) }
        guard let opened = unsafe opened else {
            throw .setup("cannot read the embedded XDP program: \(SystemCall.message(errno))")
        }
        unsafe object = opened
        let code = unsafe -bpf_object__load(opened)
        guard code != 0 else { return }
        unsafe bpf_object__close(opened)
        switch code {
        case EPERM: throw .setup("cannot load the XDP program: run as root or grant CAP_BPF and CAP_NET_ADMIN")
        default: throw .setup("the kernel refuses the XDP program: \(SystemCall.message(code)); use Driver = tun")
        }
    }

    deinit { unsafe bpf_object__close(object) }

    func program(_ name: String) throws(DatapathError) -> Int32 {
        try descriptor(name, unsafe bpf_program__fd(bpf_object__find_program_by_name(object, name)))
    }

    func map(_ name: String) throws(DatapathError) -> Int32 {
        try descriptor(name, unsafe bpf_object__find_map_fd_by_name(object, name))
    }

    private func descriptor(_ name: String, _ raw: Int32) throws(DatapathError) -> Int32 {
        guard raw >= 0 else { throw .setup("the embedded XDP program has no \(name)") }
        return raw
    }
}
