// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftNode
import WeftPrivate

/// `weft run`: runs a command in a tunnel's private network.
enum Run {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        if ["--help", "-h"].contains(arguments.first) { return Console.printPage(Help.text(of: .run)) }
        let words = arguments.dropFirst().first == "--" ? arguments.dropFirst(2) : arguments.dropFirst()
        guard let file = arguments.first, !file.hasPrefix("-"), let name = words.first else {
            throw CommandFailure(usage: Help.usage(of: .run))
        }
        // What it is called on the command line stays its first argument.
        guard let program = CommandLineToRun.find(name) else {
            Console.error("\(name): command not found")
            exit(127)
        }
        try Up.start(
            TunnelPath(file), .run, running: CommandLineToRun(program: program, arguments: Array(words)))
    }
}

/// A command that is run in a tunnel's private network.
struct CommandLineToRun {
    /// An absolute path.
    let program: String
    let arguments: [String]

    /// The program that a name stands for, as shells look for it; nil where there is none.
    static func find(_ name: String) -> String? {
        if name.contains("/") { return name }
        let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
    }

    func check(_ configuration: TunnelConfiguration) throws(CommandFailure) {
        let interface = configuration.interface
        guard interface.driver == .auto || interface.driver == .privateNamespace, !interface.needsHost else {
            throw CommandFailure(
                .failed,
                "\(configuration.file): `weft run` makes a network of its own: it needs Driver = private, or auto, and nothing that "
                    + "is of the host's routes")
        }
    }

    /// What the network's keeper needs to know of it.
    func plan(_ configuration: TunnelConfiguration) -> PrivateCommand {
        let resolvers = configuration.interface.services.resolvers
        // Without a resolver's line the C library would ask one on the loopback interface.
        let names =
            resolvers.isEmpty ? "# The tunnel file says no DNS.\n" : resolvers.map { "nameserver \($0)\n" }.joined()
        var files = [(path: "/etc/resolv.conf", content: names)]
        // Services of the host's would ask in the host's network.
        if let text = Self.lines(of: "/etc/nsswitch.conf") {
            let lines = text.map { $0.hasPrefix("hosts:") ? "hosts: files dns" : $0 }
            files.append(("/etc/nsswitch.conf", lines.joined(separator: "\n") + "\n"))
        }
        var environment: [String] = []
        var variable = unsafe environ
        while let entry = unsafe variable.pointee {
            unsafe environment.append(String(cString: entry))
            unsafe variable += 1
        }
        return PrivateCommand(
            program: program, arguments: arguments, environment: environment, covering: files,
            folder: RuntimeFolder.path, hidden: "/run/nscd")
    }

    private static func lines(of path: String) -> [String]? {
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { return nil }
        let file = FileDescriptor(owning: raw)
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.raw, $0.baseAddress, $0.count) }
        guard count > 0 else { return nil }
        return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Runs the command while the node carries its packets, and ends the process with the command's exit status.
    static func carry(_ node: WeftNode, _ signals: consuming Signals) throws {
        guard let namespace = node.namespace else { throw CommandFailure(.failed, "the tunnel has no private network") }
        try node.start()
        // Who asks a resolver at once would else wait for its second try, which is seconds away.
        for _ in 0..<60 where !node.engine.networks().contains(where: { $0.transmit != nil }) { usleep(50_000) }
        let command = try namespace.run()
        Ready.tell()
        let hasEnded = Atomic(false)
        var watch: WorkerThread? = try WorkerThread(name: "weft-command") {
            var one = pollfd(fd: command.raw, events: Int16(POLLIN), revents: 0)
            while unsafe poll(&one, 1, -1) < 0, errno == EINTR {}
            hasEnded.store(true, ordering: .releasing)
            Signals.stop()
        }
        while !hasEnded.load(ordering: .acquiring) {
            guard let signal = signals.number(seconds: 60) else { continue }
            if node.failure != nil { namespace.signalCommand(SIGKILL) }
            // A terminal sends it to the command, too.
            if signal != SIGINT, !hasEnded.load(ordering: .acquiring) { namespace.signalCommand(signal) }
        }
        watch.take()?.join()
        let status = try namespace.waitForCommand()
        let failure = node.failure
        node.close()
        if let failure { throw CommandFailure(.failed, "\(node.name): \(failure)") }
        exit(status)
    }
}
