// SPDX-License-Identifier: Apache-2.0
import CWeftNetlink
import Glibc
import Weft

/// A routing policy rule that sends packets to a table: `ip rule` in Weft's terms.
public struct Rule: Hashable, Sendable {
    public var family: IPAddress.Family
    /// Rules are tried from the lowest priority up; the kernel's own are 0 (local), 32766 (main) and 32767.
    public var priority: UInt32
    /// The firewall mark that the rule asks for, not 0; nil asks for none.
    public var mark: UInt32?
    /// The bits of the mark that count; nil for all 32.
    public var markMask: UInt32?
    /// Whether the rule holds for the packets that do *not* fit: `not fwmark ...`.
    public var invert: Bool
    public var table: UInt32
    /// The lookup passes over routes whose prefix is this long or shorter, 0...128; nil takes them all.
    public var suppressPrefixLength: UInt8?
    /// The lookup passes over a route into an interface of this group; nil takes them all.
    public var suppressGroup: UInt32?
    /// Whether packets that fit go nowhere, rather than to a table, which is 0 then.
    public var isDeadEnd: Bool

    public init(
        family: IPAddress.Family, priority: UInt32, mark: UInt32? = nil, markMask: UInt32? = nil,
        invert: Bool = false, table: UInt32, suppressPrefixLength: UInt8? = nil, suppressGroup: UInt32? = nil,
        isDeadEnd: Bool = false
    ) {
        self.family = family
        self.priority = priority
        self.mark = mark
        self.markMask = markMask
        self.invert = invert
        self.table = table
        self.suppressPrefixLength = suppressPrefixLength
        self.suppressGroup = suppressGroup
        self.isDeadEnd = isDeadEnd
    }
}

extension Rule: CustomStringConvertible {
    /// In the words of `ip rule`.
    public var description: String {
        var text = "\(priority): \(invert ? "not " : "")from all"
        if let mark { text += " fwmark 0x\(String(mark, radix: 16))" }
        if mark != nil, let markMask { text += "/0x\(String(markMask, radix: 16))" }
        if isDeadEnd { return text + " unreachable" }
        text += " lookup \(RouteTable.name(of: table))"
        if let suppressGroup { text += " suppress_ifgroup \(suppressGroup)" }
        if let suppressPrefixLength { text += " suppress_prefixlength \(suppressPrefixLength)" }
        return text
    }
}

extension Rule {
    /// Reads an RTM_NEWRULE message with its header; nil unless it is a rule of Weft's that looks a table up or says that there is
    /// no way.
    init?(message: [UInt8]) {
        let headerSize = MemoryLayout<nlmsghdr>.size
        guard message.count >= headerSize + MemoryLayout<fib_rule_hdr>.size else { return nil }
        // SAFETY: the bytes are there, and every bit pattern is a valid header.
        let header = unsafe message.span.bytes.unsafeLoadUnaligned(
            fromByteOffset: headerSize, as: fib_rule_hdr.self)
        let attributes = NetlinkAttributes(message, from: headerSize + MemoryLayout<fib_rule_hdr>.size)
        guard attributes.uint8(FRA_PROTOCOL) == RouteProtocol.weft.rawValue,
            [Int(FR_ACT_TO_TBL), Int(FR_ACT_UNREACHABLE)].contains(Int(header.action))
        else { return nil }
        isDeadEnd = Int(header.action) == Int(FR_ACT_UNREACHABLE)
        switch Int32(header.family) {
        case AF_INET: family = .v4
        case AF_INET6: family = .v6
        default: return nil
        }
        priority = attributes.uint32(FRA_PRIORITY) ?? 0
        mark = attributes.uint32(FRA_FWMARK)
        // The kernel fills in what was left out: a mask of all ones, and a suppression of nothing.
        markMask = attributes.uint32(FRA_FWMASK).flatMap { $0 == .max ? nil : $0 }
        invert = header.flags & UInt32(FIB_RULE_INVERT) != 0
        table = isDeadEnd ? 0 : attributes.uint32(FRA_TABLE) ?? UInt32(header.table)
        suppressPrefixLength = attributes.uint32(FRA_SUPPRESS_PREFIXLEN).flatMap(UInt8.init(exactly:))
        suppressGroup = attributes.uint32(FRA_SUPPRESS_IFGROUP).flatMap { $0 == .max ? nil : $0 }
    }

    /// An RTM_NEWRULE or RTM_DELRULE message for this rule, with Weft's protocol number.
    ///
    /// libnl 3.7's own rule objects know neither suppression nor inversion nor the protocol.
    func message(_ type: Int32, flags: Int32) throws(LinkError) -> NetlinkObject {
        let message = try unsafe NetlinkObject(nlmsg_alloc_simple(type, flags), release: nlmsg_free)
        var header = fib_rule_hdr()
        header.family = UInt8(family.addressFamily)
        header.action = UInt8(isDeadEnd ? FR_ACT_UNREACHABLE : FR_ACT_TO_TBL)
        header.flags = invert ? UInt32(FIB_RULE_INVERT) : 0
        // SAFETY: libnl copies the header's bytes, whose count stands beside it, before the call returns.
        guard unsafe nlmsg_append(message.pointer, &header, MemoryLayout<fib_rule_hdr>.size, Int32(NLMSG_ALIGNTO)) >= 0,
            unsafe nla_put_u8(message.pointer, Int32(FRA_PROTOCOL), RouteProtocol.weft.rawValue) >= 0
        else { throw .outOfMemory }
        let attributes: [(Int, UInt32?)] = [
            (FRA_PRIORITY, priority), (FRA_TABLE, isDeadEnd ? nil : table), (FRA_FWMARK, mark),
            (FRA_FWMASK, mark.map { _ in markMask ?? .max }),
            (FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength.map(UInt32.init)), (FRA_SUPPRESS_IFGROUP, suppressGroup),
        ]
        for case (let type, let value?) in attributes {
            guard unsafe nla_put_u32(message.pointer, Int32(type), value) >= 0 else { throw .outOfMemory }
        }
        return message
    }
}

/// The attributes at the end of a netlink message: length, type and payload each, in the host's byte order.
struct NetlinkAttributes {
    private var payloads: [UInt16: ArraySlice<UInt8>] = [:]

    /// Reads the attributes that begin at `offset`, up to the first that does not fit.
    init(_ message: [UInt8], from offset: Int) {
        let headerSize = 4
        var rest = message.dropFirst(offset)
        while rest.count >= headerSize {
            let length = Int(Self.integer(rest.prefix(2)))
            guard (headerSize...rest.count).contains(length) else { return }
            // The two highest bits say that the payload is nested or in network order.
            let type = UInt16(Self.integer(rest.dropFirst(2).prefix(2))) & 0x3fff
            payloads[type] = rest.prefix(length).dropFirst(headerSize)
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    /// An attribute's payload.
    func bytes(_ type: Int) -> ArraySlice<UInt8>? { UInt16(exactly: type).flatMap { payloads[$0] } }

    func uint8(_ type: Int) -> UInt8? { integer(type, size: 1).map { UInt8($0) } }

    func uint32(_ type: Int) -> UInt32? { integer(type, size: 4) }

    private func integer(_ type: Int, size: Int) -> UInt32? {
        guard let type = UInt16(exactly: type), let payload = payloads[type], payload.count == size else { return nil }
        return Self.integer(payload)
    }

    /// At most four bytes in the host's order.
    static func integer(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let ordered = 1.littleEndian == 1 ? Array(bytes.reversed()) : Array(bytes)
        return ordered.reduce(0) { $0 << 8 | UInt32($1) }
    }
}
