// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftCommand
import WeftConfig

/// Talks to a running tunnel.
package enum AdminClient {
    /// The tunnel's status, with each network that a key server granted if that is asked for; nil when it isn't up.
    package static func status(of name: String, listingNetworks: Bool = false) -> [UInt8]? {
        let answer = ask(name, .status(listingNetworks: listingNetworks), limit: 64 << 20)
        return answer?.isEmpty == false ? answer : nil
    }

    /// Opens a tunnel's file and all that it names, and lets the tunnel apply that; nil when it isn't up.
    /// - Throws: everything that is wrong with the file.
    package static func reload(_ name: String) throws(TunnelFileError) -> (lines: [String], isGood: Bool)? {
        guard let answer = ask(name, .file, limit: AdminRequest.limit) else { return nil }
        let path = String(decoding: answer.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard path.hasPrefix("/") else {
            return (["it runs another release: `weft down \(name)` and `weft up` bring up this one"], false)
        }
        return try hand(name, path) { .reload(files: $0) }
    }

    /// Lets a tunnel say what a file would change, likewise.
    package static func plan(_ name: String, _ path: String) throws(TunnelFileError) -> (lines: [String], isGood: Bool)?
    {
        try hand(name, path) { .plan(files: $0) }
    }

    /// Stops a tunnel and waits until it is gone; nil when it isn't up.
    /// - Parameter keepingGuard: whether what it guards is to stay closed for the next start.
    /// - Returns: whether it did as asked; a tunnel of an earlier release may not know how.
    package static func stop(_ name: String, keepingGuard: Bool = false) -> Bool? {
        ask(name, .stop(keepingGuard: keepingGuard), limit: AdminRequest.limit).map { $0.starts(with: "ok".utf8) }
    }

    private static func hand(
        _ name: String, _ path: String, _ request: ([String]) -> AdminRequest
    ) throws(TunnelFileError) -> (lines: [String], isGood: Bool)? {
        let (file, configuration) = try TunnelFile.open(path: path)
        configuration.interface.identity?.giveUp()
        let request = request([path] + file.named.map(\.name))
        guard request.bytes != nil else { return (["\(path): names too many files, or too long ones"], false) }
        return verdict(ask(name, request, with: [file.file] + file.named.map(\.descriptor), limit: 1 << 20))
    }

    /// What on the host isn't as the tunnel wants it, and whether that is nothing; nil when it isn't up.
    package static func differences(_ name: String) -> (lines: [String], isGood: Bool)? {
        verdict(ask(name, .differences, limit: 1 << 20))
    }

    private static func verdict(_ answer: [UInt8]?) -> (lines: [String], isGood: Bool)? {
        guard let answer else { return nil }
        let lines = String(decoding: answer, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true)
        guard let verdict = lines.first else { return nil }
        return (lines.dropFirst().map(String.init), verdict == "good")
    }

    /// What a tunnel answers; nil when it isn't up.
    private static func ask(
        _ name: String, _ request: AdminRequest, with files: [SharedDescriptor] = [], limit: Int
    ) -> [UInt8]? {
        guard let bytes = request.bytes, let socket = UnixSocket.connect(to: RuntimeFolder.socket(of: name)) else {
            return nil
        }
        let descriptors = files.map(\.raw)
        let count = unsafe weft_send_descriptors(
            socket.descriptor.raw, bytes, bytes.count, descriptors, UInt32(descriptors.count))
        return count == bytes.count ? socket.read(limit: limit) : nil
    }
}
