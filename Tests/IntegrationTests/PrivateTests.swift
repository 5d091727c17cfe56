// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftNode
@testable import weft

/// A host on which somebody without any privilege has a tunnel file.
struct OrdinaryUser {
    let host: Host
    /// The numbers of `nobody` and `nogroup`.
    static let number = 65534

    /// Makes him a home on the host, with the commands in it, and a device file that he may open, as udev makes it.
    init(on host: Host) async throws {
        self.host = host
        let programs = URL(fileURLWithPath: WeftCommand.path).deletingLastPathComponent().path
        try await host.shell(
            """
            chmod 755 \(host.folder)
            mkdir -m 700 \(host.folder)/home \(host.folder)/home/run
            mkdir \(host.folder)/bin && mount --bind \(programs) \(host.folder)/bin
            mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200
            """)
    }

    /// Writes his tunnel file and a key, and gives the key's public half.
    func makeIdentity() async throws -> String {
        let key = try await host.makeIdentity()
        try await host.shell("mv \(host.folder)/host.key \(host.folder)/home/")
        return key
    }

    func write(_ text: String) async throws -> String {
        let path = try host.write(text, to: "home/weft0.conf")
        try await host.shell("chown -R \(Self.number):\(Self.number) \(host.folder)/home")
        return path
    }

    /// A command of his, without any capability, present or to come.
    func command(_ words: [String]) -> [String] {
        [
            "setpriv", "--reuid=\(Self.number)", "--regid=\(Self.number)", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs", "--", "env", "-u", "WEFT_RUNTIME_DIRECTORY",
            "HOME=\(host.folder)/home", "XDG_RUNTIME_DIR=\(host.folder)/home/run",
        ] + words
    }

    func weft(_ words: String..., atMost seconds: Double = 30) async throws -> Output {
        try await host.attempt(command(["\(host.folder)/bin/weft"] + words), atMost: seconds)
    }

    func start(_ words: String...) throws -> ChildProcess {
        try host.start(command(["\(host.folder)/bin/weft"] + words))
    }
}

extension Integration {
    @Suite("A private network")
    struct Private {
        /// The left host's tunnel is an ordinary user's, the right one's root's.
        func pair(
            _ driver: String = "Driver = private", _ more: [String] = []
        ) async throws -> (HostPair, OrdinaryUser, file: String) {
            let hosts = try await HostPair()
            let user = try await OrdinaryUser(on: hosts.left)
            let (left, right) = (try await user.makeIdentity(), try await hosts.right.makeIdentity())
            var text = AgreeingText(1, peerKey: right)
            text.moreOfInterface = [driver] + more
            let file = try await user.write(text.text)
            try hosts.right.write(AgreeingText(2, peerKey: left, calls: false).text)
            try await hosts.right.up()
            return (hosts, user, file)
        }

        @Test("Without any capability a tunnel comes up, is shown, reloaded and taken down", arguments: [true, false])
        func withoutPrivilege(saysSo: Bool) async throws {
            let (hosts, user, file) = try await pair(saysSo ? "Driver = private" : "Driver = auto")
            let tunnel = try user.start("up", file)
            try await eventually("an answer", within: 20) {
                if tunnel.hasEnded { throw TestFailure("\(tunnel.output)") }
                return try await hosts.right.pings("10.77.0.1")
            }
            try await hosts.right.expectAnswer(from: "fd77::1")
            let shown = try await user.weft("show")
            #expect(shown.standardOutput.contains("driver: private tun"), "\(shown)")
            #expect(try await user.weft("reload", "weft0").standardOutput == "nothing changed\n")
            #expect(tunnel.output.standardError.contains("Driver = auto: private, since") == !saysSo)
            // The host itself sees nothing of it.
            #expect(try await !hosts.left.shell("ip -o link").contains("weft0"))
            let keeper = try await hosts.left.shell("pgrep -fc '[w]eft up'")
            #expect(keeper == "3\n", "data process, spawner and keeper")
            let down = try await user.weft("down", "weft0")
            #expect(down.status == 0, "\(down)")
            #expect(try await tunnel.wait().status == 0)
            try await eventually("the end of all of its processes") {
                try await hosts.left.shell("pgrep -f 'bin/[w]eft' || true").isEmpty
            }
            let gone = try await user.weft("down", "weft0")
            #expect(gone.status == 3 && gone.standardError.contains("no tunnel weft0 is up"), "\(gone)")
        }

        @Test("A command sees the overlay and its resolver, and nothing of the host's network")
        func command() async throws {
            let (hosts, user, file) = try await pair("Driver = private", ["DNS = 10.77.0.2"])
            let script = """
                ping -c 1 -W 5 10.77.0.2 >/dev/null && echo overlay
                ping -c 1 -W 1 192.0.2.2 >/dev/null 2>&1 || echo apart
                cat /etc/resolv.conf
                id -u
                exit 7
                """
            let output = try await user.weft("run", file, "--", "sh", "-c", script)
            #expect(output.standardOutput == "overlay\napart\nnameserver 10.77.0.2\n65534\n", "\(output)")
            #expect(output.status == 7, "\(output)")
            #expect(try await user.weft("run", file, "--", "sh", "-c", "kill -9 $$").status == 137)
            let missing = try await user.weft("run", file, "--", "no-such-command")
            #expect(missing.status == 127, "\(missing)")
            try await eventually("the end of all of its processes") {
                try await hosts.left.shell("pgrep -f 'bin/[w]eft' || true").isEmpty
            }
        }

        @Test("Whoever takes the tunnel down ends its command, and who kills its keeper ends both")
        func ends() async throws {
            let (hosts, user, file) = try await pair()
            for ending in ["weft down", "keeper"] {
                let run = try user.start("run", file, "--", "sleep", "1000")
                try await eventually("the command", within: 20) {
                    if run.hasEnded { throw TestFailure("\(run.output)") }
                    return try await sleeps(on: hosts.left)
                }
                if ending == "keeper" {
                    try await hosts.left.shell("pkill -KILL -x weft-private")
                } else {
                    #expect(try await user.weft("down", "weft0").status == 0)
                }
                let output = try await run.wait()
                #expect(output.status == (ending == "keeper" ? 1 : 143), "\(output)")
                try await eventually("the command's end") { try await !sleeps(on: hosts.left) }
            }
        }

        /// A process that nobody waits for stays as a zombie here.
        private func sleeps(on host: Host) async throws -> Bool {
            try await host.shell("ps -o stat= -C sleep | grep -v Z || true") != ""
        }

        @Test("What is missing is said, with what helps")
        func refusals() async throws {
            let (hosts, user, file) = try await pair()
            func refusal() async throws -> String {
                let output = try await user.weft("up", file)
                #expect(output.status == 1, "\(output)")
                return output.standardError
            }
            try await hosts.left.shell("chmod 600 /dev/net/tun")
            #expect(try await refusal().contains("give it mode 0666"))
            try await hosts.left.shell("rm /dev/net/tun")
            #expect(try await refusal().contains("modprobe tun"))
            try await hosts.left.shell("mknod -m 666 /dev/net/tun c 10 200")
            // A driver of the host's own is refused as ever.
            let text = try await hosts.left.shell("cat \(file)")
            _ = try await user.write(text.replacing("Driver = private", with: "Driver = tun"))
            #expect(try await refusal().contains("run as root or grant CAP_NET_ADMIN"))
            _ = try await user.write(text.replacing("Driver = private", with: "Driver = private\nGuard = on"))
            #expect(try await refusal().contains("Guard: is of the host's routes"))
        }
    }
}
