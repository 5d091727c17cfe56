// SPDX-License-Identifier: Apache-2.0
import WeftConfig

/// What is asked of a tunnel over its socket: one request a connection.
///
/// A word and a line's end; what brings files has their names after it, a line each, and ends with an empty one. Their
/// descriptors come along in the same order.
enum AdminRequest: Equatable {
    /// Answered with ``Status`` as JSON.
    case status(listingNetworks: Bool)
    /// Answered with `ok`; the connection closes when the tunnel is gone.
    ///
    /// What the tunnel guards stays closed for the next start if that is asked for.
    case stop(keepingGuard: Bool)
    /// Answered with a line that has the path of the tunnel's file.
    case file
    /// Applies a file. Answered with a line `good` or `bad`, and then what changed or why nothing did.
    case reload(files: [String])
    /// Answered as above with what a file would change.
    case plan(files: [String])
    /// Answered with a line `good` or `bad`, and then what on the host isn't as the tunnel wants it, a line each.
    case differences

    /// Longer requests are no requests.
    static let limit = 32 << 10
    /// The tunnel file and what it names.
    static let mostFiles = 1 + OpenTunnelFile.mostNamed

    /// What bytes are that came so far.
    enum Reading: Equatable {
        case incomplete
        case complete(AdminRequest)
        /// No request, whatever follows.
        case bad
    }

    /// Reads what anyone may have sent.
    static func read(_ bytes: [UInt8]) -> Reading {
        guard bytes.count <= limit else { return .bad }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            return bytes.count == limit ? .bad : .incomplete
        }
        let word = String(decoding: bytes[..<end], as: UTF8.self)
        if let simple = simple[word] { return end + 1 == bytes.count ? .complete(simple) : .bad }
        guard word == "reload" || word == "plan" else { return .bad }
        let rest = bytes[(end + 1)...]
        guard rest.suffix(2) == [10, 10] else { return bytes.count == limit ? .bad : .incomplete }
        let names = rest.dropLast(2).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard names.count <= mostFiles, !names.contains(where: { $0.isEmpty || $0.contains(0) }) else { return .bad }
        let files = names.map { String(decoding: $0, as: UTF8.self) }
        return .complete(word == "reload" ? .reload(files: files) : .plan(files: files))
    }

    /// What to send; nil for what can't be asked.
    var bytes: [UInt8]? {
        let (word, files) =
            switch self {
            case .reload(let files): ("reload", files)
            case .plan(let files): ("plan", files)
            default: (Self.simple.first { $0.value == self }?.key ?? "", [])
            }
        let bytes = Array(([word] + files).joined(separator: "\n").utf8) + (files.isEmpty ? [10] : [10, 10])
        return Self.read(bytes) == .complete(self) ? bytes : nil
    }

    private static let simple: [String: AdminRequest] = [
        "status": .status(listingNetworks: false), "status networks": .status(listingNetworks: true),
        "stop": .stop(keepingGuard: false), "stop guarded": .stop(keepingGuard: true), "file": .file,
        "differences": .differences,
    ]
}
