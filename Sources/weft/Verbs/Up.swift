// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftCommand
import WeftConfig
import WeftNode
import WeftSandbox

/// `weft up`: brings a tunnel up and carries packets until it is stopped.
enum Up {
    static func run(_ arguments: [String]) throws(CommandFailure) { try start(arguments, .up) }

    /// Runs what a file describes, for either verb that does.
    static func start(_ arguments: [String], _ verb: Verb) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: verb, options: ["detach"], operands: 1...1)
        try start(TunnelPath(arguments.operands[0]), verb, isDetached: arguments.has("detach"))
    }

    /// - Parameter command: what is run in the tunnel's network, and then ends it; nil for what goes on until it is stopped.
    static func start(
        _ path: TunnelPath, _ verb: Verb, isDetached: Bool = false, running command: CommandLineToRun? = nil
    ) throws(CommandFailure) {
        // Before anything secret is read, and while there is one thread.
        let control: Result<SpawnedControl, TransportError> =
            isDetached ? .failure(TransportError("start the spawner", code: 0)) : spawner(path.name)
        let configuration: TunnelConfiguration
        do throws(TunnelFileError) {
            configuration = try TunnelFile.load(path: path.file)
        } catch {
            throw CommandFailure(.failed, error.lines)
        }
        try KeyServe.check(configuration, isFor: verb, operand: path.file)
        try path.checkName()
        if RuntimeFolder.isRoots { try RuntimeFolder.checkAccess() }
        try command?.check(configuration)
        if let answer = AdminClient.status(of: path.name) { throw isUp(path.name, answer) }
        try checkThrough(path.name, configuration)
        if isDetached {
            try Detach.run(verb, path.file)
        } else {
            try run(path.name, configuration, servesKeys: verb == .keyserve, control, running: command)
        }
    }

    /// Whether a tunnel that is up, and that this one goes through, goes through this one itself.
    private static func checkThrough(_ name: String, _ configuration: TunnelConfiguration) throws(CommandFailure) {
        var chain = [name]
        while let next = chain.count == 1 ? configuration.interface.through : through(chain.last) {
            let isLoop = chain.contains(next)
            chain.append(next)
            guard isLoop else { continue }
            throw CommandFailure(
                .failed, "Through: \(chain.joined(separator: " goes through ")): change that, or take one of them down")
        }
    }

    private static func through(_ name: String?) -> String? {
        name.flatMap { AdminClient.status(of: $0) }.flatMap { JSON.decode(Status.self, from: $0) }?.interface.through
    }

    /// Sockets have one folder for all network namespaces that share their files.
    private static func isUp(_ name: String, _ answer: [UInt8]) -> CommandFailure {
        func network(_ process: String) -> String {
            var text = [CChar](repeating: 0, count: 64)
            let count = unsafe readlink("/proc/\(process)/ns/net", &text, text.count)
            return String(decoding: text.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        if let process = JSON.decode(Status.self, from: answer)?.processID {
            let other = network("\(process)")
            if !other.isEmpty, other != network("self") {
                return CommandFailure(
                    .failed,
                    "\(name) is up already in another network namespace, as process \(process): rename this one's file, or set "
                        + "WEFT_RUNTIME_DIRECTORY to a folder of its own for this namespace")
            }
        }
        return CommandFailure(.failed, "\(name) is up already; `weft down \(name)` stops it")
    }

    private static func spawner(_ name: String) -> Result<SpawnedControl, TransportError> {
        do throws(TransportError) { return .success(try SpawnedControl(name: name)) } catch { return .failure(error) }
    }

    private static func run(
        _ name: String, _ configuration: TunnelConfiguration, servesKeys: Bool,
        _ control: Result<SpawnedControl, TransportError>, running command: CommandLineToRun?
    ) throws(CommandFailure) {
        // A detached process is started through /proc, which would be its name.
        unsafe weft_name_thread("weft")
        let signals = Signals()
        // A spawner that isn't needed ends, and nobody waits for it.
        _ = signal(SIGCHLD, SIG_IGN)
        let log = Log(name: name, isQuiet: command != nil)
        let user = ProcessUser.forData
        try RuntimeFolder.make(for: user.user, user.group)
        let launcher = try handOver(configuration, control)
        let node = try WeftNode(
            name: name, configuration, servesKeys: servesKeys, owner: FileOwner(user: user.user, group: user.group),
            launcher: launcher, command: command?.plan(configuration), log, onFailure: { Signals.stop() })
        do {
            try node.listen { keepingGuard in Signals.stop(beforeStart: keepingGuard) }
            // Capabilities are a thread's: there is none but this one yet.
            try Sandbox.enter(.data(usesXDP: node.usesXDP), as: user)
            if command != nil { return try CommandLineToRun.carry(node, signals) }
            try carry(node, signals)
        } catch {
            node.close()
            throw CommandFailure(.failed, "\(error)")
        }
        if let why = node.failure { throw CommandFailure(.failed, "\(name): \(why)") }
        log.info("down")
    }

    /// Gives the identity to the spawner, and keeps nothing but its public half.
    private static func handOver(
        _ configuration: TunnelConfiguration, _ control: Result<SpawnedControl, TransportError>
    ) throws(CommandFailure) -> SpawnedControl? {
        guard let identity = configuration.interface.identity else { return nil }
        do throws(TransportError) {
            let launcher = try control.get()
            let user = ProcessUser.forControl(port: configuration.interface.listenPort)
            try identity.withIdentity { (identity) throws(TransportError) in
                try launcher.confine(holding: identity, as: user)
            }
            identity.giveUp()
            return launcher
        } catch {
            throw CommandFailure(.failed, error.description)
        }
    }

    /// Carries packets and answers at the socket until a signal comes or the node can't go on.
    private static func carry(_ node: WeftNode, _ signals: consuming Signals) throws(TransportError) {
        var isRestart = false
        defer { node.close(keepingGuard: isRestart) }
        try node.start()
        Ready.tell()
        while true {
            switch signals.wait(seconds: 60) {
            case .end: return
            case .endBeforeStart:
                isRestart = true
                return
            case .reload: node.reload()
            case .none: break
            }
        }
    }
}
