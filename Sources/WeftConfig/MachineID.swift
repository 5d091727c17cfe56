// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// Which machine a key state belongs to, told by machine-id(5), so that a copied state folder isn't taken for the machine's own.
///
/// It is a digest, as that page asks for: the id itself goes nowhere. Machines that were cloned whole have one id until they are given
/// their own, and can't be told apart.
public struct MachineID: Hashable, Sendable, CustomStringConvertible {
    private let digest: SHA256Digest

    /// Nil unless it is the text of a machine's id: 32 hexadecimal digits, not all of them zero.
    init?(text: [UInt8]) {
        let digits = text.last == UInt8(ascii: "\n") ? text.dropLast() : text[...]
        let isHexadecimal = digits.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
        }
        guard digits.count == 32, isHexadecimal, digits.contains(where: { $0 != UInt8(ascii: "0") }) else { return nil }
        let input = Array("weft key state machine 1\0".utf8) + digits
        // `bytes` is unsafe for types with padding, and a UInt8 has none.
        guard let digest = SHA256Digest(of: unsafe input.span.bytes) else { return nil }
        self.digest = digest
    }

    /// This machine's; nil where /etc/machine-id is missing or says nothing yet.
    public static func own() -> MachineID? {
        guard let file = try? FileDescriptor(path: "/etc/machine-id", flags: O_RDONLY | O_NONBLOCK | O_NOCTTY),
            let text = try? file.read(limit: 64)
        else { return nil }
        return MachineID(text: text)
    }

    /// 64 lower-case hexadecimal digits.
    public var description: String { digest.description }
}
