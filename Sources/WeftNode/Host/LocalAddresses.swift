// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Notices that this host's own addresses changed: peers that only answer would otherwise never hear of it.
struct LocalAddresses {
    private var known: Set<String> = []
    private var nextLook = Instant(nanoseconds: 0)
    private static let interval = Duration.milliseconds(500)

    /// Whether there are others than at the last look, which is due twice a second.
    mutating func changed(at now: Instant) -> Bool {
        guard now >= nextLook else { return false }
        let isFirst = known.isEmpty
        nextLook = now.advanced(by: Self.interval)
        let present = Self.present()
        defer { known = present }
        return !isFirst && present != known
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
