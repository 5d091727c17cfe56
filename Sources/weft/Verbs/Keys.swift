// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftCommand
import WeftConfig
import WeftControl

/// `weft genkey`: an identity, or with `--manual` a key for SendKey and ReceiveKey.
enum GenKey {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .genkey, options: ["force", "manual"], operands: 0...1)
        if arguments.has("manual") {
            guard arguments.operands.isEmpty else { throw CommandFailure(usage: Help.usage(of: .genkey)) }
            return printKey(byteCount: ManualKey.byteCount)
        }
        do {
            let identity = try Identity.generate()
            if let path = arguments.operands.first {
                try identity.write(to: path, force: arguments.has("force"))
            } else {
                let pem = identity.pem()
                let span = pem.span
                Console.write(String(decoding: span.indices.map { span[$0] }, as: UTF8.self), to: STDOUT_FILENO)
            }
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }
}

/// `weft genpsk`: a key for PresharedKey.
enum GenPSK {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        _ = try Arguments(arguments, of: .genpsk, operands: 0...0)
        printKey(byteCount: PresharedKey.byteCount)
    }
}

/// Prints a random key in base64.
private func printKey(byteCount: Int) {
    var generator = SystemRandomNumberGenerator()
    Console.print(Base64.encode((0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }))
}

/// `weft pubkey`: the public key of an identity, as a peer's file names it.
enum PubKey {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .pubkey, operands: 0...1)
        do {
            if let path = arguments.operands.first, path != "-" {
                Console.print(try Identity(contentsOf: path).publicKey.description)
            } else {
                let pem = standardInput(limit: Identity.maximumKeyFileByteCount)
                Console.print(try Identity(pem: pem.span).publicKey.description)
            }
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    private static func standardInput(limit: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let got = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe read(STDIN_FILENO, buffer.baseAddress.map { unsafe $0 + count }, buffer.count - count)
            }
            guard got > 0 else { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }
}
