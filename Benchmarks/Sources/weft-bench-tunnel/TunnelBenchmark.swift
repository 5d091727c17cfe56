// SPDX-License-Identifier: Apache-2.0
import Glibc
@_spi(Benchmarks) import Weft
import WeftTUN
import WeftXDP

/// One end of a tunnel for benchmarks only: the data path of `weft up`, with a cipher of choice, none included. Its
/// keys are constants that everybody can read here, so it protects nothing.
@main
enum TunnelBenchmark {
    static let usage = """
        usage: weft-bench-tunnel DEVICE ADDRESS/LENGTH PORT ENDPOINT PREFIX left|right none|automatic|ipsec-mb|openssl \
            [tun|xdp]
        One end of a tunnel for benchmarks: it protects nothing. ENDPOINT is the other end's on the underlay and PREFIX
        its side of the overlay; one end is left and the other right. It runs until it gets SIGTERM or SIGINT.

        """

    static func main() {
        let arguments = Arguments(CommandLine.arguments.dropFirst())
        guard let arguments else {
            complain(usage)
            exit(2)
        }
        do {
            try run(arguments)
        } catch {
            complain("weft-bench-tunnel: \(error)\n")
            exit(1)
        }
    }

    private static func complain(_ text: String) {
        let bytes = Array(text.utf8)
        _ = unsafe write(STDERR_FILENO, bytes, bytes.count)
    }

    private static func run(_ arguments: Arguments) throws {
        // Blocked before there is another thread, so that only the waiting one gets them.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)

        let engine = try makeEngine(arguments)
        let datapath = try makeDatapath(arguments, engine)
        let pumps = try WorkerThread(name: "weft") {
            do throws(DatapathError) {
                try datapath.run()
            } catch {
                complain("weft-bench-tunnel: \(error)\n")
                exit(1)
            }
        }
        var signal: Int32 = 0
        unsafe sigwait(&signals, &signal)
        datapath.close()
        pumps.join()
    }

    private static func makeDatapath(_ arguments: Arguments, _ engine: Engine) throws -> any Datapath {
        if arguments.usesXDP {
            return try XDPDatapath(
                XDPConfiguration(name: arguments.device, addresses: [arguments.address], mtu: 1400), engine: engine)
        }
        return try TUNDatapath(
            TUNConfiguration(
                name: arguments.device, addresses: [arguments.address], mtu: 1400, port: arguments.port, routes: .none),
            engine: engine)
    }

    private static func makeEngine(_ arguments: Arguments) throws -> Engine {
        let engine = try Engine(
            EngineConfiguration(
                mode: arguments.usesXDP ? XDPDatapath.layer2Mode() : .layer3, port: arguments.port,
                cipher: arguments.cipher, lanes: 8))
        try engine.add(
            NetworkConfiguration(
                vni: 7, endpoint: arguments.endpoint,
                routes: [Route(source: arguments.address.prefix, destination: arguments.remote)]))
        let keys = try (
            PacketKey([UInt8](repeating: 1, count: 16)), PacketKey([UInt8](repeating: 2, count: 16))
        )
        let (send, receive) = arguments.isLeft ? keys : (keys.1, keys.0)
        let pair = SAPair(
            receiveSPI: 1, receiveKey: receive, transmitSPI: 1, transmitKey: send, expiry: .distantFuture)
        try engine.install(pair, for: .vni(7), at: SystemCall.now())
        return engine
    }
}

/// What the command line says.
struct Arguments {
    let device: String
    let address: InterfaceAddress
    let port: UInt16
    let endpoint: Endpoint
    let remote: Prefix
    let isLeft: Bool
    let cipher: CipherChoice
    let usesXDP: Bool

    init?(_ words: some Sequence<String>) {
        let words = Array(words)
        guard words.count == 7 || words.count == 8 && ["tun", "xdp"].contains(words[7]),
            InterfaceName.isValid(words[0]), let address = InterfaceAddress(words[1]), let port = UInt16(words[2]),
            let endpoint = Endpoint(words[3]), let remote = Prefix(words[4]), ["left", "right"].contains(words[5])
        else { return nil }
        let choices: [String: CipherChoice] = [
            "none": .none, "automatic": .automatic, "ipsec-mb": .ipsecMB, "openssl": .openSSL,
        ]
        guard let cipher = choices[words[6]] else { return nil }
        device = words[0]
        self.address = address
        self.port = port
        self.endpoint = endpoint
        self.remote = remote
        isLeft = words[5] == "left"
        self.cipher = cipher
        usesXDP = words.last == "xdp"
    }
}
