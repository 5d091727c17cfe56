// SPDX-License-Identifier: Apache-2.0

/// JSON (RFC 8259) as our programs print it, and as they read it from one another.
///
/// Foundation's coders would make a program a third larger, which has little to say.
package enum JSON {
    /// Indented, with keys in order.
    package static func text(_ value: some Encodable) -> String {
        guard let value = try? JSONValue(encoding: value) else { return "{}" }
        var text = ""
        value.write(to: &text, indentation: 0)
        return text
    }

    /// Nil where the bytes aren't JSON, or not of that type.
    package static func decode<Value: Decodable>(_: Value.Type, from bytes: [UInt8]) -> Value? {
        guard let value = JSONValue(parsing: bytes) else { return nil }
        return try? Value(from: JSONReader(value: value, codingPath: []))
    }
}
