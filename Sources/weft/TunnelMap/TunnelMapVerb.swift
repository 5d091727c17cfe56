// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftTunnelMap

/// `weft tunnel-map`: the kernel's fast path.
enum TunnelMapVerb: String, CaseIterable {
    case run, show, lookup, drain, down, genkey, mac

    static let usage = """
        usage: weft tunnel-map run FILE [--etcd URL [--prefix KEY]]
               weft tunnel-map show [NAME] [--json]
               weft tunnel-map lookup ADDRESS [SOURCE [PROTOCOL SOURCE-PORT PORT]] [--name NAME] [--json]
               weft tunnel-map drain PEER [--off] [--name NAME]
               weft tunnel-map down [NAME]
               weft tunnel-map genkey
               weft tunnel-map mac ADDRESS
        """

    static let description = """
        run keeps prefixes pointed at healthy nexthops as FILE says, and with --etcd as the fleet does, whose keys begin with
        /weft/tunnel-map/ or what --prefix says. It needs root, or CAP_BPF and CAP_NET_ADMIN, and CAP_SYS_ADMIN where
        /sys/fs/bpf is not mounted. When it stops, the kernel goes on forwarding; a later run takes over.
        show prints prefixes, nexthops, peers' health and what became of packets.
        lookup says which prefix and which nexthop a packet gets, and why; it exits with 1 if no prefix covers the address.
        drain moves flows away from a peer while another nexthop is healthy; --off ends that.
        down removes program, links and maps. genkey prints a key for the fleet's probes. mac prints the MAC address that
        goes with an underlay address: give it to the VXLAN or Geneve device of the host that has the address.
        NAME is the map's name in its file, "default" unless said otherwise.
        """

    /// A sub-verb's options and operands.
    struct Words {
        var operands: [String] = []
        var flags: Set<String> = []
        var values: [String: String] = [:]

        var isJSON: Bool { flags.contains("json") }
        /// The map's name.
        var name: String { values["name"] ?? "default" }
    }

    /// Runs the sub-verb that the first word names.
    static func run(_ arguments: [String]) throws(CommandFailure) {
        guard let first = arguments.first, let verb = TunnelMapVerb(rawValue: first) else {
            throw CommandFailure(.usage, usage)
        }
        let words = try verb.words(Array(arguments.dropFirst()))
        do {
            switch verb {
            case .run: try TunnelMapRun.run(words)
            case .show: try TunnelMapShow.run(words)
            case .lookup: try TunnelMapLookup.run(words)
            case .drain: try drain(words)
            case .down: try TunnelMap.remove(name: words.operands.first ?? words.name)
            case .genkey: Console.print(randomKey())
            case .mac: try mac(words.operands[0])
            }
        } catch let error as CommandFailure {
            throw error
        } catch let error as TunnelMapError {
            if case .notLoaded = error { throw CommandFailure(.notUp, error.description) }
            throw CommandFailure(.failed, error.description)
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    private var flags: Set<String> {
        switch self {
        case .show, .lookup: ["json"]
        case .drain: ["off"]
        default: []
        }
    }

    private var valued: Set<String> {
        switch self {
        case .run: ["etcd", "prefix"]
        case .lookup, .drain: ["name"]
        default: []
        }
    }

    private var operandCounts: Set<Int> {
        switch self {
        case .run, .drain, .mac: [1]
        case .show, .down: [0, 1]
        case .lookup: [1, 2, 5]
        case .genkey: [0]
        }
    }

    private func words(_ arguments: [String]) throws(CommandFailure) -> Words {
        var words = Words()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument != "-" else {
                words.operands.append(argument)
                continue
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let option = parts.first.map(String.init) ?? ""
            if argument.hasPrefix("--"), flags.contains(option), parts.count == 1 {
                words.flags.insert(option)
            } else if argument.hasPrefix("--"), valued.contains(option) {
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    throw CommandFailure(.usage, "--\(option) needs a value\n\(Self.usage)")
                }
                words.values[option] = value
            } else {
                throw CommandFailure(.usage, "weft tunnel-map \(rawValue) has no option \(argument)\n\(Self.usage)")
            }
        }
        guard operandCounts.contains(words.operands.count) else { throw CommandFailure(.usage, Self.usage) }
        return words
    }

    private static func drain(_ words: Words) throws {
        let map = try TunnelMap.open(name: words.name)
        let count = try map.setDraining(of: words.operands[0], to: !words.flags.contains("off"))
        Console.print("\(words.operands[0]): \(count) \(count == 1 ? "prefix" : "prefixes") changed")
    }

    private static func randomKey() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<FleetKey.byteCount).map { _ in
            let byte = UInt8.random(in: 0...255, using: &generator)
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    private static func mac(_ text: String) throws(CommandFailure) {
        guard let address = IPAddress(text) else { throw CommandFailure(.usage, "\"\(text)\" is no IP address") }
        Console.print("\(MACAddress(derivedFrom: address))")
    }
}
