// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftControl
import WeftTestSupport

/// A vector that is one case of a parameterised test, shown by its name.
protocol NamedVector: Decodable, Sendable, CustomTestStringConvertible {
    var name: String { get }
}

extension NamedVector {
    var testDescription: String { name }
}

extension SecretBytes {
    init(_ hex: Hex) {
        self.init(copying: hex.bytes.span)
    }

    /// A copy to compare with, for test keys only.
    var exposed: [UInt8] { Array(copying: span) }
}

extension [UInt8] {
    init(copying span: Span<UInt8>) {
        self = span.indices.map { span[$0] }
    }

    /// Random bytes.
    init(count: Int, using generator: inout SeededGenerator) {
        self = (0..<count).map { _ in .random(in: .min ... .max, using: &generator) }
    }
}
