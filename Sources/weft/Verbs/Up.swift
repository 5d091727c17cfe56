// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig

/// `weft up`: brings a tunnel up and carries packets until it is stopped.
enum Up {
    static func run(_ arguments: [String]) throws(CommandFailure) { try start(arguments, .up) }

    /// Runs what a file describes, for either verb that does.
    static func start(_ arguments: [String], _ verb: Verb) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: verb, options: ["detach"], operands: 1...1)
        let path = TunnelPath(arguments.operands[0])
        let configuration: TunnelConfiguration
        do throws(TunnelFileError) {
            configuration = try TunnelFile.load(path: path.file)
        } catch {
            throw CommandFailure(.failed, error.lines.joined(separator: "\nweft: "))
        }
        try KeyServe.check(configuration, isFor: verb, operand: arguments.operands[0])
        guard InterfaceName.isValid(path.name) else {
            throw CommandFailure(
                .failed,
                "\(path.file): the interface is named like the file, and \"\(path.name)\" can't be a name: "
                    + "rename the file to 1 to 15 letters, digits, - _ or . before .conf")
        }
        guard AdminClient.status(of: path.name) == nil else {
            throw CommandFailure(.failed, "\(path.name) is up already; `weft down \(path.name)` stops it")
        }
        if arguments.has("detach") {
            try Detach.run(verb, path.file)
        } else {
            try run(path.name, configuration, servesKeys: verb == .keyserve)
        }
    }

    private static func run(
        _ name: String, _ configuration: TunnelConfiguration, servesKeys: Bool
    ) throws(CommandFailure) {
        // A detached process is started through /proc, which would be its name.
        unsafe weft_name_thread("weft")
        let signals = Signals()
        let log = Log(name: name)
        if configuration.interface.identity != nil { Privileges.lockMemory(log) }
        var keeper = KeyKeeper()
        try RuntimeFolder.make()
        let tunnel = try Tunnel(name: name, configuration, servesKeys: servesKeys, keeper: &keeper, log)
        let failure = Failure()
        do throws(TransportError) {
            try carry(tunnel, signals, keeper, log, failure)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        if let text = failure.text { throw CommandFailure(.failed, "\(name): \(text)") }
        log.info("down")
    }

    /// Carries packets and answers at the socket until a signal comes or the data path fails.
    private static func carry(
        _ tunnel: Tunnel, _ signals: consuming Signals, _ keeper: consuming KeyKeeper, _ log: Log, _ failure: Failure
    ) throws(TransportError) {
        let server = try AdminServer(
            name: tunnel.name, status: { tunnel.status(listingNetworks: $0) }, stop: Signals.stop
        ) { path in
            path.map { tunnel.plan($0) } ?? tunnel.reloadOnce(log)
        }
        defer { server.close() }
        // Capabilities are a thread's: drop them before there is another.
        if !Privileges.drop(keeping: tunnel.usesXDP ? Privileges.xdp : []) {
            log.warning("could not drop capabilities")
        }
        let serving = try WorkerThread(name: "weft-admin") { server.run() }
        let pumps = try WorkerThread(name: "weft") {
            do throws(DatapathError) {
                try tunnel.datapath.run()
            } catch {
                failure.set(error.description)
                Signals.stop()
            }
        }
        let asking: WorkerThread? =
            if let stun = tunnel.stun { try WorkerThread(name: "weft-stun") { stun.run() } } else { nil }
        var controlling: [FinishedThread] = []
        if let service = tunnel.keyService {
            controlling.append(try FinishedThread("weft-control") { service.run() })
        }
        for control in tunnel.controls { controlling.append(try FinishedThread("weft-control") { control.run() }) }
        var capabilities = tunnel.datapath.capabilities
        log.info(
            "up on UDP port \(tunnel.configuration.interface.listenPort), \(capabilities), \(tunnel.engine.cipherName)")
        Ready.tell()

        var drops = DropLog()
        waiting: while true {
            switch signals.wait(seconds: 1) {
            case .end: break waiting
            case .reload: _ = tunnel.reloadOnce(log)
            case .none: break
            }
            keeper.save(tunnel.engine, log)
            if tunnel.datapath.capabilities != capabilities {
                capabilities = tunnel.datapath.capabilities
                log.info("going on with \(capabilities)")
            }
            for line in drops.lines(for: tunnel.engine.totals(), at: SystemCall.now()) { log.info(line) }
        }
        tunnel.stun?.close()
        // First, so that peers hear that we go.
        for control in tunnel.controls { control.close() }
        tunnel.keyService?.close()
        for thread in controlling { thread.join() }
        tunnel.datapath.close()
        pumps.join()
        if let asking { asking.join() }
        keeper.save(tunnel.engine, log)
        server.close()
        serving.join()
    }

    /// A thread that can be listed with others.
    private final class FinishedThread {
        private var thread: WorkerThread?

        init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(TransportError) {
            thread = try WorkerThread(name: name, body)
        }

        /// Waits for its end.
        func join() { thread.take()?.join() }
    }

    /// What ended the pumps.
    private final class Failure: Sendable {
        private let state = Mutex<String?>(nil)

        var text: String? { state.withLock { $0 } }

        func set(_ text: String) { state.withLock { $0 = text } }
    }
}
