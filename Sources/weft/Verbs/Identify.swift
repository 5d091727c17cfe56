// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCapture
import WeftCommand

/// `weft identify`: what the datagrams in a capture are, and why.
enum Identify {
    private struct Report: Encodable {
        struct Datagram: Encodable {
            /// Of the frame in the capture, counted from 1.
            let frame: Int
            let source: String
            let destination: String
            let bytes: Int
            let kind: String
            /// Nil outside of a Geneve envelope.
            let vni: UInt32?
            let payloadOffset: Int
            let rule: String
            let reason: String
        }

        var file: String
        var datagrams: [Datagram] = []
        var totals = Totals()
    }

    private struct Totals: Encodable {
        var datagrams = 0
        /// By kind; kinds without one are left out.
        var kinds: [String: Int] = [:]
        /// Of those, inside Geneve envelopes.
        var encapsulated = 0
        /// UDP that the capture holds only a part of.
        var partial = 0
        /// Frames that hold no UDP.
        var other = 0
    }

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .identify, options: ["json"], operands: 1...1)
        let json = arguments.has("json")
        var report = Report(file: arguments.operands[0])
        do throws(CaptureFile.Failure) {
            var capture = try CaptureFile(path: report.file)
            while let entry = try capture.next() {
                guard let line = take(entry, into: &report.totals) else { continue }
                if json { report.datagrams.append(line) } else { Console.print(text(line)) }
            }
        } catch {
            if !report.datagrams.isEmpty { Console.printPage(JSON.text(report)) }
            throw CommandFailure(.failed, "cannot read \(report.file): \(error)")
        }
        Console.printPage(json ? JSON.text(report) : text(report.totals))
    }

    private static func take(_ entry: CaptureFile.Entry, into totals: inout Totals) -> Report.Datagram? {
        switch entry.content {
        case .other:
            totals.other += 1
            return nil
        case .partial:
            totals.partial += 1
            return nil
        case .datagram(let datagram):
            // Safe: a UInt8 has no padding.
            let found = unsafe Identification(of: datagram.payload.span.bytes)
            var vni: UInt32?
            if case .geneve(let number) = found.encapsulation { vni = number }
            totals.datagrams += 1
            totals.kinds["\(found.kind)", default: 0] += 1
            if vni != nil { totals.encapsulated += 1 }
            return Report.Datagram(
                frame: entry.number, source: datagram.source.description,
                destination: datagram.destination.description, bytes: datagram.payload.count, kind: "\(found.kind)",
                vni: vni, payloadOffset: found.payloadOffset, rule: "\(found.rule)", reason: found.rule.explanation)
        }
    }

    private static func text(_ line: Report.Datagram) -> String {
        let inside = line.vni.map { " in geneve, vni \($0)," } ?? ""
        return "\(line.frame)  \(line.source) > \(line.destination)  \(line.bytes) bytes: "
            + "\(Console.bold(line.kind))\(inside.isEmpty ? "," : inside) \(line.reason)"
    }

    private static func text(_ totals: Totals) -> String {
        let kinds = PacketKind.allCases.compactMap { kind in
            totals.kinds["\(kind)"].map { "\(kind) \($0)" }
        }
        var parts = ["\(totals.datagrams) datagrams" + (kinds.isEmpty ? "" : ": " + kinds.joined(separator: ", "))]
        if totals.encapsulated > 0 { parts.append("\(totals.encapsulated) of them in geneve") }
        if totals.partial > 0 { parts.append("\(totals.partial) cut off or fragments, not identified") }
        if totals.other > 0 { parts.append("\(totals.other) frames without UDP") }
        return parts.joined(separator: "; ")
    }
}
