// SPDX-License-Identifier: Apache-2.0
import Foundation
import Weft
import WeftTestSupport

@testable import WeftControl

/// The vectors of docs/weft-1.md, which a program that shares no line with us made.
struct RatchetVector: NamedVector {
    struct Exchange: Decodable, Sendable {
        let suite: UInt8
        let initiatorSpi: UInt32
        let responderSpi: UInt32
        let initiatorPrivate: Hex
        let responderPrivate: Hex
        let shared: Hex
        let offer: Hex
        let answer: Hex
        let confirmation: Hex
        let installed: Hex
        let chain: Hex
        let initiatorReceives: Hex
        let responderReceives: Hex
    }

    private struct File: Decodable {
        let count: Int
        let vectors: [RatchetVector]
        let uselessShares: [Hex]
    }

    let name: String
    let rootSecret: Hex
    let presharedKey: Hex?
    let initiator: Hex
    let responder: Hex
    let chain: Hex
    let exchanges: [Exchange]

    static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "docs/weft-1-vectors.json")

    private static func file() throws -> File {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let file = try decoder.decode(File.self, from: Data(contentsOf: path))
        guard file.count == file.vectors.count, !file.vectors.isEmpty else {
            throw VectorsError.wrongCount("weft-1-vectors")
        }
        return file
    }

    static func all() throws -> [RatchetVector] { try file().vectors }

    static func uselessShares() throws -> [Hex] { try file().uselessShares }

    /// The session's chain before its first exchange.
    func makeChain() throws -> KeyChain {
        try KeyChain(
            rootSecret: SecretBytes(rootSecret), presharedKey: presharedKey.flatMap { PresharedKey(SecretBytes($0)) },
            initiator: PublicKey(subjectPublicKeyInfo: initiator.bytes),
            responder: PublicKey(subjectPublicKeyInfo: responder.bytes))
    }
}
