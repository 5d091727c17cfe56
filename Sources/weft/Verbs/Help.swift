// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand

/// `weft help`: what the manual says, in short.
enum Help {
    static let overview = """
        weft: an encrypted overlay network.

          weft up FILE [--detach]      bring a tunnel up
          weft run FILE -- COMMAND     run a command that sees the overlay and nothing else, without root
          weft keyserve FILE [--detach]    hand out networks and their keys to those who may ask
          weft down NAME [--keep-guard]    take it down
          weft show [NAME] [--json] [--networks]    who is connected, how much went through, what was dropped and why
          weft reload NAME             apply its changed file, all of it or nothing
          weft check FILE [--json]     find what is wrong with a file
          weft check FILE --against NAME   say what a reload with that file would change
          weft check --live NAME       compare what a tunnel has put into the host with what is there
          weft stun [SERVER...]        which address others see us under
          weft identify FILE.pcap      what the datagrams in a capture are
          weft genkey [FILE]           make a host's identity, or with --manual a key for a file
          weft genpsk                  make a preshared key for a pair of peers
          weft pubkey [FILE]           print an identity's public key
          weft keys adopt FILE         take over manual keys' states that came from another machine
          weft tunnel-map ...          the kernel's fast path: prefixes that eBPF sends to healthy nexthops
          weft help VERB|drops         more about one of these, or about the reasons for drops
          weft completion SHELL        completion for bash, zsh or fish
          weft --version

        A FILE without a slash and without .conf stands for /etc/weft/FILE.conf.
        It exits with 0 when done, 1 when something failed, 2 for wrong usage, 3 when no such tunnel is up.
        """

    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .help, operands: 0...1)
        guard let topic = arguments.operands.first else { return Console.printPage(overview) }
        if topic == "drops" { return Console.printPage(drops) }
        guard let verb = Verb(rawValue: topic) else {
            throw CommandFailure(.usage, "there is no help on \"\(topic)\"; `weft help` lists the verbs")
        }
        Console.printPage(text(of: verb))
    }

    static func usage(of verb: Verb) -> String {
        switch verb {
        case .up: "usage: weft up FILE [--detach]"
        case .run: "usage: weft run FILE -- COMMAND [ARGUMENT...]"
        case .keyserve: "usage: weft keyserve FILE [--detach]"
        case .down: "usage: weft down NAME [--keep-guard]"
        case .show: "usage: weft show [NAME] [--json] [--networks]"
        case .reload: "usage: weft reload NAME"
        case .check:
            "usage: weft check FILE [--json] | weft check FILE --against NAME | weft check --live NAME [--json]"
        case .stun: "usage: weft stun [SERVER...] [--json]"
        case .identify: "usage: weft identify FILE [--json]"
        case .genkey: "usage: weft genkey [FILE] [--force] | weft genkey --manual"
        case .genpsk: "usage: weft genpsk"
        case .pubkey: "usage: weft pubkey [FILE]"
        case .keys: "usage: weft keys adopt FILE"
        case .tunnelMap: "usage: weft tunnel-map \(TunnelMapProgram.verbs.joined(separator: "|")) ..."
        case .help: "usage: weft help [VERB|drops]"
        case .completion: "usage: weft completion bash|zsh|fish"
        }
    }

    static func text(of verb: Verb) -> String { "\(usage(of: verb))\n\n\(description(of: verb))" }

    private static func description(of verb: Verb) -> String {
        switch verb {
        case .up:
            """
            Reads a tunnel file, makes the interface that is named like the file, and carries packets until it is
            stopped: by `weft down`, Ctrl-C or SIGTERM. With --detach it returns once the tunnel is up and leaves it
            running. It needs root, or CAP_NET_ADMIN, but for Driver = private, which anybody may use.
            """
        case .run:
            """
            Brings a tunnel up in a network of its own, which takes no privilege, runs the command in there, and takes the tunnel
            down once the command has ended, with the command's exit status. The command sees the overlay, the loopback
            interface and nothing of the host's network; names are asked of the file's DNS alone. 126 and 127 say, as in a
            shell, that it couldn't be run, or wasn't found.
            """
        case .keyserve:
            """
            Reads a file with [Initiator] sections, makes the interface as `weft up` does, and waits for those initiators:
            each asks for an overlay address within its AllowedIPs and gets a network of its own for it, with keys, as long
            as its session lasts. `weft show`, `weft reload` and `weft down` work as with a tunnel.
            """
        case .down:
            """
            Stops a tunnel and waits until its interface, routes and rules are gone. Of one that was killed it opens what that
            left closed. With --keep-guard what the tunnel guards stays closed until the next start, as `systemctl restart` has it.
            """
        case .show:
            """
            Prints the interface, its peers, when each was last heard, how much went each way, the SPIs in use with
            the time they have left, and how many packets were dropped by reason. `weft help drops` explains the reasons.
            Of a key server it prints the initiators: networks held of how many, grants, and refusals by reason; with
            --networks also each network.
            """
        case .reload:
            """
            Lets a tunnel read its file again and apply it in one step, as SIGHUP does: peers that stay as they were keep
            their keys and lose no packet. A bad file, or one that only a new start could apply, changes nothing.
            """
        case .check:
            """
            Reads a tunnel file and prints everything that is wrong with it, with file and line. With --against it prints
            what the tunnel of that name would change if this were its file. With --live the tunnel of that name compares its
            addresses, routes, rules, settings and packet filter with what is there now, and tells what differs.
            """
        case .stun:
            """
            Asks STUN servers, HOST or HOST:PORT, under which address and port they see us, from a port of its own, and
            says whether that depends on who is asked: name two or more. Without a server it prints what the tunnels
            that are up have learned about their own ports from the servers in their files (STUN). It exits with 1 when
            no server answered.
            """
        case .identify:
            """
            Reads a capture (pcap or pcapng) and prints for each UDP datagram what Weft takes it for and why: data,
            control (QUIC), stun, disco, wireGuard or unknown, with the VNI where it is inside Geneve; then totals.
            Weft gives a datagram that comes to its port to the engine, or to who takes its kind, by the same rules.
            """
        case .genkey:
            """
            Makes a host's identity (ECDSA P-256, PKCS#8 PEM) and prints it, or writes it to FILE with mode 0600; a
            FILE that exists is kept unless --force is given. With --manual it prints a random key for SendKey or
            ReceiveKey: one for each direction, written into both files with the roles exchanged.
            """
        case .genpsk:
            """
            Prints a random key for PresharedKey, or for the file that PresharedKeyFile names: the same in both ends' sections
            for each other, and another for each pair.
            """
        case .pubkey: "Prints the public key of the identity in FILE, or on standard input."
        case .keys:
            """
            Takes over the states of a file's manual keys after the tunnel has moved here from another machine, which must not use
            them any more. The file must name a higher Epoch than was used there, and so must the other end's.
            """
        case .tunnelMap: "The kernel's fast path, by the program weft-map: `weft tunnel-map --help` says more."
        case .help: "Prints help."
        case .completion: "Prints a completion script; `source <(weft completion bash)` tries it out."
        }
    }

    private static var drops: String {
        let width = DropReason.allCases.map { "\($0)".count }.max() ?? 0
        func list(_ reasons: [DropReason]) -> String {
            reasons.map { reason in
                let name = "\(reason)"
                return "  \(name)\(String(repeating: " ", count: width - name.count))  \(reason.explanation)"
            }.joined(separator: "\n")
        }
        return """
            Each packet that goes no further is counted under exactly one reason.

            From the overlay, towards the underlay:
            \(list(DropReason.allCases.filter(\.isFromOverlay)))

            From the underlay, towards the overlay, in the order of the checks:
            \(list(DropReason.allCases.filter { !$0.isFromOverlay }))
            """
    }
}
