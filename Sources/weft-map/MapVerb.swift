// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftTunnelMap

/// What `weft-map` does.
enum MapVerb: String, CaseIterable {
    case run, show, lookup, drain, down, genkey, mac

    static var usage: String {
        let name = Main.name
        return """
            usage: \(name) run FILE [--etcd URL [--prefix KEY] [--cacert FILE] [--cert FILE --key FILE] [--user-file FILE] [--insecure]]
                   \(name) show [NAME] [--json]
                   \(name) lookup ADDRESS [SOURCE [PROTOCOL SOURCE-PORT PORT]] [--name NAME] [--json]
                   \(name) drain PEER [--off] [--name NAME]
                   \(name) down [NAME]
                   \(name) genkey
                   \(name) mac ADDRESS
            """
    }

    static let description = """
        run keeps prefixes pointed at healthy nexthops as FILE says, and with --etcd as the fleet does, whose keys begin with
        /weft/tunnel-map/ or what --prefix says. It needs root, or CAP_BPF and CAP_NET_ADMIN, and CAP_SYS_ADMIN where
        /sys/fs/bpf is not mounted. When it stops, the kernel goes on forwarding; a later run takes over.
        etcd is asked by https, by http only on this host or with --insecure. --cacert names the authorities that may vouch
        for it, --cert and --key what we prove ourselves by, --user-file a file of mode 0600 with NAME:PASSWORD.
        show prints prefixes, nexthops, peers' health and what became of packets.
        lookup says which prefix and which nexthop a packet gets, and why; it exits with 1 if no prefix covers the address.
        drain moves flows away from a peer while another nexthop is healthy; --off ends that.
        down ends the agent, if one runs, and removes program, links and maps. genkey prints a key for the fleet's probes.
        mac prints the MAC address that goes with an underlay address: give it to the VXLAN or Geneve device of the host
        that has the address. NAME is the map's name in its file, "default" unless said otherwise.
        """

    /// Runs the verb that the first word names.
    static func run(_ arguments: [String]) throws(CommandFailure) {
        guard let first = arguments.first, let verb = MapVerb(rawValue: first) else {
            throw CommandFailure(usage: usage)
        }
        let words = try Arguments(
            Array(arguments.dropFirst()), of: "\(Main.name) \(first)", usage: usage, options: verb.flags,
            valued: verb.valued, operands: verb.operandCounts)
        do {
            switch verb {
            case .run: try MapRun.run(words)
            case .show: try MapShow.run(words)
            case .lookup: try MapLookup.run(words)
            case .drain: try drain(words)
            case .down: try down(words.operands.first ?? words.mapName)
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
        case .run: ["insecure"]
        case .show, .lookup: ["json"]
        case .drain: ["off"]
        default: []
        }
    }

    private var valued: Set<String> {
        switch self {
        case .run: ["etcd", "prefix", "cacert", "cert", "key", "user-file"]
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

    /// An agent would notice nothing of it, and bring back what its file says with the next change.
    private static func down(_ name: String) throws {
        guard TunnelMap.names().contains(name) else { throw TunnelMapError.notLoaded(name: name) }
        try RunLock.endHolder(of: name)
        try TunnelMap.remove(name: name)
    }

    private static func drain(_ words: Arguments) throws {
        let map = try TunnelMap.open(name: words.mapName)
        let count = try map.setDraining(of: words.operands[0], to: !words.has("off"))
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

extension Arguments {
    /// The map that an option names.
    var mapName: String { value(of: "name") ?? "default" }
}
