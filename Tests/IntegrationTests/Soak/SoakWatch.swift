// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What must not have happened since the last look: packets in the clear, broken streams.
struct SoakWatch {
    private let topology: SoakTopology
    let streams: [SoakStream]
    private var clear: Int
    private var breaks = 0
    private(set) var resources = SoakResources()

    init(_ topology: SoakTopology, _ streams: [SoakStream], clear: Int) {
        self.topology = topology
        self.streams = streams
        self.clear = clear
    }

    /// What happened, a line each.
    mutating func look() async throws -> [String] {
        var lines: [String] = []
        let clear = try await topology.inTheClear()
        if clear > self.clear { lines.append("\(clear - self.clear) packets in the clear") }
        self.clear = clear
        let breaks = streams.flatMap(\.breaks)
        if breaks.count > self.breaks { lines.append("a stream broke: \(breaks.last ?? "")") }
        self.breaks = breaks.count
        for host in [topology.left, topology.right] {
            for process in try await host.weftProcesses() { resources.note(process, on: host.name) }
        }
        return lines
    }
}

/// What processes take, from their first look to their last.
struct SoakResources {
    /// One process'.
    struct Growth: CustomStringConvertible {
        let host: String
        let first: SoakProcess
        var last: SoakProcess
        var looks = 1

        var descriptors: Int { last.descriptors - first.descriptors }
        var kibibytes: Int { last.kibibytes - first.kibibytes }

        /// What an event more or less explains isn't growth.
        var isLevel: Bool { descriptors <= 4 && kibibytes <= 16_384 }

        var description: String {
            "\(first.name) \(first.identifier) on \(host), \(looks) looks: \(first.descriptors) descriptors, then \(last.descriptors); "
                + "\(first.kibibytes) KiB, then \(last.kibibytes)"
        }
    }

    private var byProcess: [String: Growth] = [:]

    var growths: [Growth] { Array(byProcess.values) }

    mutating func note(_ process: SoakProcess, on host: String) {
        let name = "\(host) \(process.identifier)"
        if byProcess[name] == nil {
            byProcess[name] = Growth(host: host, first: process, last: process)
        } else {
            byProcess[name]?.last = process
            byProcess[name]?.looks += 1
        }
    }
}

/// A process of Weft's, at one moment.
struct SoakProcess {
    let identifier: Int
    let name: String
    let descriptors: Int
    /// Resident.
    let kibibytes: Int
}

extension Host {
    /// All processes of Weft's that haven't ended.
    func weftProcesses() async throws -> [SoakProcess] {
        let text = try await shell(
            """
            for p in /proc/[0-9]*; do
                case $(cat $p/comm 2>/dev/null) in weft*) ;; *) continue ;; esac
                kib=$(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' $p/status 2>/dev/null)
                [ -z "$kib" ] || echo ${p#/proc/} $(cat $p/comm) $(ls $p/fd 2>/dev/null | wc -l) $kib
            done
            """)
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 4, let identifier = Int(words[0]), let descriptors = Int(words[2]),
                let kibibytes = Int(words[3])
            else { return nil }
            return SoakProcess(
                identifier: identifier, name: String(words[1]), descriptors: descriptors, kibibytes: kibibytes)
        }
    }
}
