// SPDX-License-Identifier: Apache-2.0

/// Decodes one value.
struct JSONReader: Decoder, SingleValueDecodingContainer {
    let value: JSONValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    private func failure(_ wanted: Any.Type) -> DecodingError {
        .typeMismatch(wanted, DecodingError.Context(codingPath: codingPath, debugDescription: "expected \(wanted)"))
    }

    func container<Key: CodingKey>(keyedBy _: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw failure([String: Any].self) }
        return KeyedDecodingContainer(Keyed<Key>(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else { throw failure([Any].self) }
        return Unkeyed(values: values, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { value == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let found: Any? =
            switch value {
            case .bool(let value): value
            case .string(let value): value
            case .number(let digits):
                if let type = type as? any FixedWidthInteger.Type {
                    Self.integer(type, digits)
                } else if type == Double.self {
                    Double(digits)
                } else {
                    Float(digits)
                }
            default: nil
            }
        if let found, let result = found as? Value { return result }
        switch type {
        case is Bool.Type, is String.Type, is Double.Type, is Float.Type, is any FixedWidthInteger.Type:
            throw failure(type)
        default: return try Value(from: self)
        }
    }

    private static func integer<Number: FixedWidthInteger>(_: Number.Type, _ digits: String) -> Number? {
        Number(digits)
    }

    private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let members: [String: JSONValue]
        let codingPath: [any CodingKey]
        var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }

        func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

        private func reader(_ key: Key) throws -> JSONReader {
            guard let value = members[key.stringValue] else {
                throw DecodingError.keyNotFound(
                    key,
                    DecodingError.Context(codingPath: codingPath, debugDescription: "\(key.stringValue) is missing"))
            }
            return JSONReader(value: value, codingPath: codingPath + [key])
        }

        func decodeNil(forKey key: Key) throws -> Bool { try reader(key).decodeNil() }
        func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
            try reader(key).decode(type)
        }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> { try reader(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            try reader(key).unkeyedContainer()
        }
        func superDecoder() throws -> any Decoder {
            JSONReader(value: members["super"] ?? .null, codingPath: codingPath)
        }
        func superDecoder(forKey key: Key) throws -> any Decoder { try reader(key) }
    }

    private struct Unkeyed: UnkeyedDecodingContainer {
        let values: [JSONValue]
        let codingPath: [any CodingKey]
        var currentIndex = 0
        var count: Int? { values.count }
        var isAtEnd: Bool { currentIndex >= values.count }

        private func reader() throws -> JSONReader {
            guard !isAtEnd else {
                throw DecodingError.valueNotFound(
                    Any.self, DecodingError.Context(codingPath: codingPath, debugDescription: "no more values"))
            }
            return JSONReader(value: values[currentIndex], codingPath: codingPath)
        }

        mutating func decodeNil() throws -> Bool {
            guard try reader().decodeNil() else { return false }
            currentIndex += 1
            return true
        }
        mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            let result = try reader().decode(type)
            currentIndex += 1
            return result
        }
        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type
        ) throws -> KeyedDecodingContainer<Nested> {
            let result = try reader().container(keyedBy: type)
            currentIndex += 1
            return result
        }
        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
            let result = try reader().unkeyedContainer()
            currentIndex += 1
            return result
        }
        mutating func superDecoder() throws -> any Decoder {
            let result = try reader()
            currentIndex += 1
            return result
        }
    }
}
