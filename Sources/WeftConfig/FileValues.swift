// SPDX-License-Identifier: Apache-2.0
import Weft

/// What single values of a tunnel file mean. Nil is for the caller to report.
enum FileValues {
    /// A decimal number without sign or leading zeros.
    static func number(_ text: String, in range: ClosedRange<UInt32>) -> UInt32? {
        guard let number = UInt32(text), String(number) == text, range.contains(number) else { return nil }
        return number
    }

    /// A number as above, or `off`, which means 0.
    static func numberOrOff(_ text: String, in range: ClosedRange<UInt32>) -> UInt32? {
        isOff(text) ? 0 : number(text, in: range)
    }

    /// `on` or `off`.
    static func onOrOff(_ text: String) -> Bool? {
        isOff(text) ? false : text.lowercased() == "on" ? true : nil
    }

    /// A decimal number, hexadecimal digits after `0x`, or `off`, which means 0.
    static func firewallMark(_ text: String) -> UInt32? {
        guard text.lowercased().hasPrefix("0x") else { return numberOrOff(text, in: 0...UInt32.max) }
        let digits = text.dropFirst(2)
        // The initialiser below would also take a sign.
        guard digits.allSatisfy(\.isHexDigit) else { return nil }
        return UInt32(digits, radix: 16)
    }

    static func table(_ text: String) -> InterfaceConfiguration.RoutingTable? {
        if text.lowercased() == "auto" { return .automatic }
        return isOff(text) ? .off : number(text, in: 1...UInt32.max).map { .number($0) }
    }

    static func guarding(_ text: String) -> InterfaceConfiguration.Guarding? {
        InterfaceConfiguration.Guarding(rawValue: text.lowercased())
    }

    /// Bytes of a packet, or `auto`, which means 0.
    static func mtu(_ text: String) -> UInt32? {
        text.lowercased() == "auto" ? 0 : number(text, in: 576...65535)
    }

    /// A number of queues, or `auto`, which means 0.
    static func queues(_ text: String) -> UInt32? {
        text.lowercased() == "auto" ? 0 : number(text, in: 1...UInt32(InterfaceConfiguration.mostQueues))
    }

    /// `all`, `off`, or names separated by commas, none of them twice.
    static func offloads(_ text: String) -> Offloads? {
        if text.lowercased() == "all" { return .all }
        if isOff(text) { return [] }
        var offloads: Offloads = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = item.trimmingBlanks.lowercased()
            guard let offload = Offloads.names.first(where: { $0.name == name })?.offload,
                offloads.insert(offload).inserted
            else { return nil }
        }
        return offloads
    }

    static func driver(_ text: String) -> InterfaceConfiguration.Driver? {
        InterfaceConfiguration.Driver(rawValue: text.lowercased())
    }

    /// `auto`, or at most one word of each kind.
    static func bindMode(_ text: String) -> (attachment: XDPOptions.Attachment?, copying: XDPOptions.Copying?)? {
        if text.lowercased() == "auto" { return (nil, nil) }
        var mode: (attachment: XDPOptions.Attachment?, copying: XDPOptions.Copying?) = (nil, nil)
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = item.trimmingBlanks.lowercased()
            if let attachment = XDPOptions.Attachment(rawValue: name), mode.attachment == nil {
                mode.attachment = attachment
            } else if let copying = XDPOptions.Copying(rawValue: name), mode.copying == nil {
                mode.copying = copying
            } else {
                return nil
            }
        }
        return mode
    }

    /// A name that Linux takes for an interface.
    static func interfaceName(_ text: String) -> String? { InterfaceName.isValid(text) ? text : nil }

    /// An absolute path that the kernel would take.
    static func path(_ text: String) -> String? {
        text.hasPrefix("/") && text.utf8.count < 4000 ? text : nil
    }

    static func suite(_ text: String) -> Suite? {
        Suite.allCases.first { $0.name.lowercased() == text.lowercased() }
    }

    /// A path that the kernel would take.
    static func anyPath(_ text: String) -> String? {
        !text.isEmpty && text.utf8.count < 4000 ? text : nil
    }

    /// An address that a device can have.
    static func interfaceAddress(_ text: String) -> InterfaceAddress? {
        guard let address = InterfaceAddress(text), !address.address.isUnspecified, !address.address.isMulticast
        else { return nil }
        return address
    }

    /// An address at which a resolver can be asked.
    static func resolver(_ text: String) -> IPAddress? {
        guard let address = IPAddress(text), !address.isUnspecified, !address.isMulticast, !address.isBroadcast,
            !address.isLinkLocal, !address.isMapped
        else { return nil }
        return address
    }

    private static func isOff(_ text: String) -> Bool { text.lowercased() == "off" }
}

extension IPAddress {
    /// 224.0.0.0/4 or ff00::/8.
    var isMulticast: Bool { family == .v4 ? high >> 60 == 0xE : high >> 56 == 0xFF }

    /// The IPv4 broadcast address.
    var isBroadcast: Bool { family == .v4 && v4Bits == UInt32.max }
}
