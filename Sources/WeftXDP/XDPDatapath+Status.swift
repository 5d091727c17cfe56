// SPDX-License-Identifier: Apache-2.0
import Weft

extension XDPDatapath {
    /// How it runs at present, in words: `xdp (eth0 driver zero-copy, overlay driver copy)`.
    public var capabilities: String {
        let statuses = reports.map(\.status)
        let way: String
        if let attachment = monitor.attachment {
            let copying = statuses.first?.underlay?.rawValue ?? "not bound"
            way = "\(underlay) \(attachment.rawValue) \(copying)"
        } else {
            way = monitor.trouble ?? "\(underlay) gone"
        }
        let overlay = overlayProgram.withLock { $0.map { "\($0.mode.rawValue) copy" } } ?? "gone"
        var text = "xdp (\(way), overlay \(overlay))"
        if reports.count > 1 { text += ", \(reports.count) queues" }
        if configuration.options.busyPoll != nil { text += ", busy polling" }
        if !configuration.options.needsWakeup { text += ", no need-wakeup" }
        return text
    }

    /// What it counted beside the engine, by name.
    public var counters: [String: UInt64] {
        let statuses = reports.map(\.status)
        return [
            "fromKernel": kernel.count,
            "toKernel": statuses.reduce(0) { $0 &+ $1.sentByKernel },
            "underlayNoSocket": program.count(of: .underlayNoSocket),
            "overlayNoSocket": program.count(of: .overlayNoSocket),
            "overlayTooLong": program.count(of: .overlayTooLong),
            "missed": statuses.reduce(0) { $0 &+ $1.missed },
            "umemFrames": statuses.reduce(0) { $0 &+ UInt64($1.frames) },
            "umemFramesAccounted": statuses.reduce(0) { $0 &+ UInt64($1.accounted) },
            "umemFramesInFlight": statuses.reduce(0) { $0 &+ UInt64($1.inFlight) },
        ]
    }

    /// What keeps the underlay from being used, in words; nil when all is well.
    public var trouble: String? { monitor.trouble }
}
