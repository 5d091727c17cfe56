// SPDX-License-Identifier: Apache-2.0

/// What Linux takes for an interface's name.
public enum InterfaceName {
    /// The kernel's rule, without what would have to be escaped in messages: 1 to 15 visible ASCII characters that make no
    /// path and no alias.
    public static func isValid(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && !name.utf8.contains { $0 <= 32 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") || $0 > 126 }
    }

    /// What a tunnel's interface may be called: 1 to 15 letters, digits, hyphens, underscores and dots, which mean themselves
    /// everywhere. To the kernel `%d` means a number of its choice, and to nftables `*` means anything. Neither `all` nor
    /// `default`, which mean something else among the kernel's settings, nor `lo`.
    public static func isValidForTunnel(_ name: String) -> Bool {
        isValid(name) && !["all", "default", "lo"].contains(name)
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                    || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains(byte)
            }
    }
}
