// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a soak measured.
struct SoakReport: Sendable {
    /// One event's.
    struct Outcome: Codable, Sendable {
        let kind: String
        let topology: String
        /// Seconds from the event's end until all was back.
        let recovery: Double
    }

    var outcomes: [Outcome] = []
    /// Events after which not all came back.
    var failed = 0
    /// What can't happen here.
    var skipped: Set<String> = []
    var growths: [SoakResources.Growth] = []
    /// The longest that a stream waited.
    var longestStall = Duration.zero

    mutating func add(_ other: SoakReport) {
        outcomes += other.outcomes
        failed += other.failed
        skipped.formUnion(other.skipped)
        growths += other.growths
        longestStall = max(longestStall, other.longestStall)
    }

    /// A table of kinds, and all together.
    var text: String {
        func row(_ name: String, _ times: [Double]) -> String {
            let sorted = times.sorted()
            func at(_ part: Double) -> String {
                String(format: "%7.2f", sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))])
            }
            return
                "| \(name.padding(toLength: 52, withPad: " ", startingAt: 0)) | \(String(format: "%5d", sorted.count)) | \(at(0.5)) | \(at(0.9)) | \(at(0.99)) | \(at(1)) |"
        }
        var lines = [
            "| \("seconds from an event's end until all is back".padding(toLength: 52, withPad: " ", startingAt: 0)) | count |  median |    90 % |    99 % |    most |",
            "| \(String(repeating: "-", count: 52)) | ----: | ------: | ------: | ------: | ------: |",
        ]
        for (kind, outcomes) in Dictionary(grouping: outcomes, by: \.kind).sorted(by: { $0.key < $1.key }) {
            lines.append(row(kind, outcomes.map(\.recovery)))
        }
        for (topology, outcomes) in Dictionary(grouping: outcomes, by: \.topology).sorted(by: { $0.key < $1.key }) {
            lines.append(row("all: \(topology)", outcomes.map(\.recovery)))
        }
        if !outcomes.isEmpty { lines.append(row("all", outcomes.map(\.recovery))) }
        if failed > 0 { lines.append("\(failed) events after which not all came back") }
        if !skipped.isEmpty {
            lines.append("Skipped, as it can't happen here: \(skipped.sorted().joined(separator: "; "))")
        }
        lines.append("The longest that a TCP stream waited: \(longestStall)")
        if let most = growths.map(\.descriptors).max(), let memory = growths.max(by: { $0.kibibytes < $1.kibibytes }) {
            lines.append(
                "Processes: \(growths.count); the most that one's descriptors grew: \(most); its memory: \(memory)")
        }
        return lines.joined(separator: "\n")
    }
}
