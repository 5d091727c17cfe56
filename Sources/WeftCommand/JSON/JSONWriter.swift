// SPDX-License-Identifier: Apache-2.0

extension JSONValue {
    init(encoding value: some Encodable) throws {
        let writer = JSONWriter(codingPath: [])
        try value.encode(to: writer)
        self = writer.node.value
    }
}

/// What is being encoded: its containers are filled one after the other.
private final class Node {
    enum Content {
        case none
        case value(JSONValue)
        case array([Node])
        case object([String: Node])
    }

    var content = Content.none

    var value: JSONValue {
        switch content {
        case .none: .object([:])
        case .value(let value): value
        case .array(let nodes): .array(nodes.map(\.value))
        case .object(let nodes): .object(nodes.mapValues(\.value))
        }
    }

    func child(_ key: String) -> Node {
        let child = Node()
        if case .object(var nodes) = content {
            nodes[key] = child
            content = .object(nodes)
        } else {
            content = .object([key: child])
        }
        return child
    }

    func child() -> Node {
        let child = Node()
        if case .array(let nodes) = content { content = .array(nodes + [child]) } else { content = .array([child]) }
        return child
    }
}

/// Encodes one value into its node.
private struct JSONWriter: Encoder, SingleValueEncodingContainer {
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }
    var node = Node()

    func container<Key: CodingKey>(keyedBy _: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .none = node.content { node.content = .object([:]) }
        return KeyedEncodingContainer(Keyed<Key>(codingPath: codingPath, node: node))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .none = node.content { node.content = .array([]) }
        return Unkeyed(codingPath: codingPath, node: node)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    func encodeNil() throws { node.content = .value(.null) }

    func encode<Value: Encodable>(_ value: Value) throws {
        switch value {
        case let value as Bool: node.content = .value(.bool(value))
        case let value as String: node.content = .value(.string(value))
        case let value as any BinaryInteger: node.content = .value(.number("\(value)"))
        case let value as Double:
            // JSON has no other numbers.
            node.content = .value(value.isFinite ? .number("\(value)") : .null)
        case let value as Float: node.content = .value(value.isFinite ? .number("\(value)") : .null)
        default: try value.encode(to: self)
        }
    }

    struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let codingPath: [any CodingKey]
        let node: Node

        private func writer(_ key: Key) -> JSONWriter {
            JSONWriter(codingPath: codingPath + [key], node: node.child(key.stringValue))
        }

        func encodeNil(forKey key: Key) throws { try writer(key).encodeNil() }
        func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try writer(key).encode(value) }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> { writer(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { writer(key).unkeyedContainer() }
        func superEncoder() -> any Encoder { JSONWriter(codingPath: codingPath, node: node.child("super")) }
        func superEncoder(forKey key: Key) -> any Encoder { writer(key) }
    }

    struct Unkeyed: UnkeyedEncodingContainer {
        let codingPath: [any CodingKey]
        let node: Node
        var count: Int { if case .array(let nodes) = node.content { nodes.count } else { 0 } }

        private func writer() -> JSONWriter { JSONWriter(codingPath: codingPath, node: node.child()) }

        func encodeNil() throws { try writer().encodeNil() }
        func encode<Value: Encodable>(_ value: Value) throws { try writer().encode(value) }
        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            writer().container(keyedBy: type)
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { writer().unkeyedContainer() }
        func superEncoder() -> any Encoder { writer() }
    }
}
