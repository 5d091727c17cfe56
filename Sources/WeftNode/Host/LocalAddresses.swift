// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftLink

/// Notices that this host's own addresses changed by which it sends to peers: those that only answer would otherwise never hear of
/// it. Interfaces that lead to none of them may come and go.
struct LocalAddresses: ~Copyable {
    private let mark: UInt32
    private var netlink: Netlink?
    private var known: Set<String> = []
    /// The address that datagrams to each endpoint leave from; nil while there is no way.
    private var sources: [IPAddress: IPAddress?] = [:]
    /// What is left, since one was lost.
    private var left: Set<IPAddress>?
    private var nextLook = Instant(nanoseconds: 0)
    private static let interval = Duration.milliseconds(500)

    /// - Parameter mark: of the tunnel's own datagrams, by which they are routed.
    init(mark: UInt32) {
        self.mark = mark
        netlink = try? Netlink()
    }

    /// Whether it is another address than at the last look, which is due twice a second.
    /// - Parameter endpoints: where the peers are.
    mutating func changed(at now: Instant, endpoints: () -> Set<IPAddress>) -> Bool {
        guard now >= nextLook else { return false }
        nextLook = now.advanced(by: Self.interval)
        let (before, present, endpoints) = (known, Self.present(), endpoints())
        known = present
        if !before.isSubset(of: present) { left = Set(present.compactMap { IPAddress($0) }) }
        guard !before.isEmpty, before != present else {
            // What the next change is compared with.
            for endpoint in endpoints where sources[endpoint] == nil { sources[endpoint] = .some(source(to: endpoint)) }
            if sources.count > endpoints.count { sources = sources.filter { endpoints.contains($0.key) } }
            return false
        }
        let old = sources
        sources = [:]
        for endpoint in endpoints { sources[endpoint] = .some(source(to: endpoint)) }
        return endpoints.contains { old[$0] != sources[$0] }
    }

    /// All addresses that the host has, if it has lost one since the last time.
    mutating func takeLoss() -> Set<IPAddress>? { left.take() }

    private mutating func source(to endpoint: IPAddress) -> IPAddress? {
        (try? netlink?.path(to: endpoint, mark: mark))??.source
    }

    private static func present() -> Set<String> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var found: Set<String> = []
        var entry = unsafe list
        while let current = unsafe entry {
            unsafe entry = unsafe current.pointee.ifa_next
            guard let address = unsafe current.pointee.ifa_addr else { continue }
            let length: Int
            switch Int32(unsafe address.pointee.sa_family) {
            case AF_INET: length = MemoryLayout<sockaddr_in>.size
            case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
            default: continue
            }
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            // Safe: the list's own address, with its family's length; the text has the room that it's said to have.
            let code = unsafe getnameinfo(
                address, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            guard code == 0 else { continue }
            found.insert(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return found
    }
}
