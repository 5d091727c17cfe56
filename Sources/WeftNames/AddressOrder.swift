// SPDX-License-Identifier: Apache-2.0
import Weft

/// In which order a name's addresses are tried.
enum AddressOrder {
    /// The families alternate, IPv6 first (RFC 8305, section 4), and each family's addresses stay in their order. A family by which
    /// nothing can leave comes last.
    static func arranged(_ addresses: [IPAddress], ways: Set<IPAddress.Family>) -> [IPAddress] {
        var unique: Set<IPAddress> = []
        let all = addresses.filter { unique.insert($0).inserted }
        let (six, four) = (all.filter { $0.family == .v6 }, all.filter { $0.family == .v4 })
        switch (ways.contains(.v6), ways.contains(.v4)) {
        case (false, true): return four + six
        case (true, false): return six + four
        default:
            return (0..<max(six.count, four.count)).flatMap { index in
                [six, four].compactMap { $0.indices.contains(index) ? $0[index] : nil }
            }
        }
    }
}
