// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// A routing policy rule of anybody's, as far as it can be said in other words.
public struct KernelRule: Hashable, Sendable {
    /// What becomes of a packet that the rule is for.
    public enum Action: Hashable, Sendable {
        /// It is routed by a table, if that has a way for it.
        case table(UInt32)
        /// It goes no further.
        case dead
        /// Nothing: the next rule is tried.
        case nothing
        /// What this program can't follow, such as a jump or a table that the packet's device names.
        case other
    }

    public let family: IPAddress.Family
    public let priority: UInt32
    public let action: Action
    /// Whether the rule holds for the packets that do *not* fit.
    public let invert: Bool
    public let source: Prefix?
    public let destination: Prefix?
    /// The interface that the packet came by; `lo` for the host's own.
    public let incoming: String?
    /// The interface that the sending socket is bound to.
    public let outgoing: String?
    public let mark: UInt32?
    public let markMask: UInt32
    public let users: ClosedRange<UInt32>?
    public let ipProtocol: UInt8?
    public let sourcePorts: ClosedRange<UInt16>?
    public let destinationPorts: ClosedRange<UInt16>?
    /// The lookup passes over routes whose prefix is this long or shorter.
    public let suppressPrefixLength: UInt8?
    public let owner: RouteProtocol
    /// Whether it also asks for something that isn't told here.
    public let hasMore: Bool
}

extension KernelRule {
    /// Reads an RTM_NEWRULE message with its header; nil for what is no rule of IPv4 or IPv6.
    init?(message: [UInt8]) {
        guard let (header, attributes) = NetlinkAttributes.read(message, behind: fib_rule_hdr.self) else { return nil }
        switch Int32(header.family) {
        case AF_INET: family = .v4
        case AF_INET6: family = .v6
        default: return nil
        }
        priority = attributes.uint32(FRA_PRIORITY) ?? 0
        let isDeviceTable = attributes.uint8(FRA_L3MDEV).map { $0 != 0 } ?? false
        switch Int(header.action) {
        case Int(FR_ACT_TO_TBL):
            action = isDeviceTable ? .other : .table(attributes.uint32(FRA_TABLE) ?? UInt32(header.table))
        case Int(FR_ACT_BLACKHOLE), Int(FR_ACT_UNREACHABLE), Int(FR_ACT_PROHIBIT): action = .dead
        case Int(FR_ACT_NOP): action = .nothing
        default: action = .other
        }
        invert = header.flags & UInt32(FIB_RULE_INVERT) != 0
        source = attributes.address(FRA_SRC).flatMap { Prefix($0, length: Int(header.src_len)) }
        destination = attributes.address(FRA_DST).flatMap { Prefix($0, length: Int(header.dst_len)) }
        incoming = attributes.text(FRA_IIFNAME)
        outgoing = attributes.text(FRA_OIFNAME)
        markMask = attributes.uint32(FRA_FWMASK) ?? 0
        mark = markMask == 0 ? nil : attributes.uint32(FRA_FWMARK) ?? 0
        users = attributes.pair(FRA_UID_RANGE, of: UInt32.self).flatMap { $0.0 <= $0.1 ? $0.0...$0.1 : nil }
        ipProtocol = attributes.uint8(FRA_IP_PROTO).flatMap { $0 == 0 ? nil : $0 }
        sourcePorts = attributes.pair(FRA_SPORT_RANGE, of: UInt16.self).flatMap { $0.0 <= $0.1 ? $0.0...$0.1 : nil }
        destinationPorts = attributes.pair(FRA_DPORT_RANGE, of: UInt16.self)
            .flatMap { $0.0 <= $0.1 ? $0.0...$0.1 : nil }
        suppressPrefixLength = attributes.uint32(FRA_SUPPRESS_PREFIXLEN).flatMap(UInt8.init(exactly:))
        owner = RouteProtocol(rawValue: attributes.uint8(FRA_PROTOCOL) ?? 0)
        let suppressesGroup = attributes.uint32(FRA_SUPPRESS_IFGROUP).map { $0 != .max } ?? false
        let hasTunnel = attributes.bytes(FRA_TUN_ID).map { $0.contains { $0 != 0 } } ?? false
        hasMore =
            header.tos != 0 || suppressesGroup || hasTunnel || attributes.uint32(FRA_FLOW).map { $0 != 0 } ?? false
    }
}

extension Netlink {
    /// Everybody's rules, of both families, each in the order in which the kernel tries them.
    public mutating func allRules() throws(LinkError) -> [KernelRule] {
        try ruleMessages().compactMap { KernelRule(message: $0) }
    }
}

extension NetlinkAttributes {
    /// A text that ends with a NUL or with the attribute.
    func text(_ type: Int) -> String? {
        bytes(type).map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// Two numbers of one size, in the host's order, one behind the other.
    func pair<Number: FixedWidthInteger>(_ type: Int, of: Number.Type) -> (Number, Number)? {
        let size = MemoryLayout<Number>.size
        guard let bytes = bytes(type), bytes.count == 2 * size else { return nil }
        return (
            Number(truncatingIfNeeded: Self.integer(bytes.prefix(size))),
            Number(truncatingIfNeeded: Self.integer(bytes.suffix(size)))
        )
    }
}
