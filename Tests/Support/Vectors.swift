// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The golden vectors made with the original ICX implementation; Tests/Vectors/README.md says what they hold.
///
/// The environment variable WEFT_VECTORS names another folder of the same form.
public enum Vectors {
    private struct File<Vector: Decodable>: Decodable {
        let count: Int
        let vectors: [Vector]
    }

    /// Whether the project's own vectors are run, not another folder's.
    public static var isOwnFolder: Bool { ProcessInfo.processInfo.environment["WEFT_VECTORS"] == nil }

    public static var folder: URL {
        if let other = ProcessInfo.processInfo.environment["WEFT_VECTORS"] {
            return URL(fileURLWithPath: other, isDirectory: true)
        }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Vectors", isDirectory: true)
    }

    /// All vectors of one file, `name` without its ending. JSON's snake_case keys become camelCase.
    public static func load<Vector: Decodable>(_ name: String, as type: Vector.Type = Vector.self) throws -> [Vector] {
        let data = try Data(contentsOf: folder.appendingPathComponent(name + ".json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let file = try decoder.decode(File<Vector>.self, from: data)
        guard file.count == file.vectors.count, !file.vectors.isEmpty else { throw VectorsError.wrongCount(name) }
        return file.vectors
    }

    /// Hands over all vectors of one file, each with its name on whatever is thrown.
    public static func each<Vector: NamedVector>(
        _ name: String, as type: Vector.Type = Vector.self, _ body: (Vector) throws -> Void
    ) throws {
        for vector in try load(name, as: type) {
            do { try body(vector) } catch { throw VectorsError.failed("\(name): \(vector.name)", error) }
        }
    }

    /// A file that lies beside the vectors, such as `identity_a.pem`.
    public static func text(_ name: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }
}

/// A vector that can say which one it is.
public protocol NamedVector: Decodable {
    var name: String { get }
}

public enum VectorsError: Error {
    case wrongCount(String)
    /// What a vector of that name has thrown.
    case failed(String, any Error)
    case badHex(String)
}

/// Bytes that stand in a vector as hexadecimal digits.
public struct Hex: Decodable, Hashable, Sendable, CustomStringConvertible {
    public let bytes: [UInt8]

    public init(_ text: String) throws {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { throw VectorsError.badHex(text) }
        bytes = try stride(from: 0, to: digits.count, by: 2).map { index in
            guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
                throw VectorsError.badHex(text)
            }
            return byte
        }
    }

    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    public var description: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// A seeded generator (SplitMix64), so that a failing random test can be run again: print `seed` on failure.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The seed in WEFT_SEED, else a random one.
    public static func fresh() -> SeededGenerator {
        let fixed = ProcessInfo.processInfo.environment["WEFT_SEED"].flatMap { UInt64($0) }
        return SeededGenerator(seed: fixed ?? .random(in: 0...UInt64.max))
    }
}
