// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a tunnel file: everything at once, so that the operator mends it in one go.
public struct TunnelFileError: Error, Hashable, Sendable {
    /// The file, as the caller named it.
    public let file: String
    /// At least one, ordered by line; those about the whole file come first.
    public let diagnostics: [TunnelFileDiagnostic]

    /// The diagnostics as people read them: `weft0.conf:7: MTU: expected auto, or a number from 576 to 65535, found "12k"`.
    public var lines: [String] {
        diagnostics.map { diagnostic in
            let place = diagnostic.line.map { ":\($0)" } ?? ""
            return "\(file)\(place): \(diagnostic.message)"
        }
    }
}

extension TunnelFileError: CustomStringConvertible {
    /// `lines`, one below the other.
    public var description: String { lines.joined(separator: "\n") }
}

/// One thing that is wrong with a tunnel file. It never holds any part of a key.
public struct TunnelFileDiagnostic: Hashable, Sendable {
    /// Counted from 1; nil if it is about the whole file.
    public let line: Int?
    /// Which key, what was expected and what was found instead.
    public let message: String

    public init(line: Int?, message: String) {
        self.line = line
        self.message = message
    }
}

/// Gathers diagnostics, up to a number that a terminal and the memory can take.
struct DiagnosticList {
    /// A hostile file of 1 MiB could otherwise ask for half a million.
    static let limit = 1000

    private var kept: [TunnelFileDiagnostic] = []
    private var omitted = 0

    var isEmpty: Bool { kept.isEmpty }

    mutating func add(line: Int?, _ message: @autoclosure () -> String) {
        guard kept.count < Self.limit else {
            omitted += 1
            return
        }
        kept.append(TunnelFileDiagnostic(line: line, message: message()))
    }

    /// A finding about the whole file.
    mutating func add(_ message: String) {
        add(line: nil, message)
    }

    /// The error that holds them all, or nil if there are none.
    func error(file: String) -> TunnelFileError? {
        guard !kept.isEmpty else { return nil }
        // The index keeps the order of findings on the same line, since `sort` promises nothing about it.
        var sorted = kept.enumerated()
            .sorted { ($0.element.line ?? 0, $0.offset) < ($1.element.line ?? 0, $1.offset) }
            .map(\.element)
        if omitted > 0 {
            sorted.append(TunnelFileDiagnostic(line: nil, message: "and \(omitted) more errors"))
        }
        return TunnelFileError(file: file, diagnostics: sorted)
    }
}
