// SPDX-License-Identifier: Apache-2.0

/// What Linux takes for an interface's name.
public enum InterfaceName {
    /// The kernel's rule, without what would have to be escaped in messages: 1 to 15 visible ASCII characters that make no
    /// path and no alias.
    public static func isValid(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && !name.utf8.contains { $0 <= 32 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") || $0 > 126 }
    }
}
