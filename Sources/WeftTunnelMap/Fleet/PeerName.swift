// SPDX-License-Identifier: Apache-2.0

/// What agents and peers may be called: what is harmless in a log, on a terminal and as a key.
enum PeerName {
    static let rule = "a name has 1 to 63 letters, digits, dots, dashes or underscores of ASCII"

    static func isValid(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
