// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Foundation
import Synchronization
import Testing
import Weft
import WeftConfig
import WeftFiles

@testable import WeftNode

/// The server at a tunnel's socket, with whom nobody has to be patient.
@Suite("A tunnel's socket", .serialized)
struct AdminServerTests {
    /// A tunnel that says what it was asked.
    private final class Echo: AdminServer.Tunnel {
        let filePath = "/etc/weft/echo.conf"
        let longAnswer = Atomic(false)
        func statusText(listingNetworks: Bool) -> String { "{}" }
        func reload(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool) {
            if longAnswer.load(ordering: .relaxed) { return (String(repeating: "long\n", count: 1 << 20), true) }
            return ("\(file.path) \(file.named.map(\.name)) \(trust.owners.sorted())", true)
        }
        func plan(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool) {
            ("bad file", false)
        }
        func differences() -> (text: String, isGood: Bool) { ("the interface is down", false) }
    }

    /// Serves for as long as `body` runs.
    private func serving(_ body: (_ path: String, _ tunnel: Echo) throws -> Void) throws {
        let path = "/tmp/weft-admin-\(UInt32.random(in: .min ... .max)).sock"
        let tunnel = Echo()
        let server = try AdminServer(at: path, of: tunnel, stop: { _ in })
        let thread = try WorkerThread(name: "admin") { server.run() }
        do {
            try body(path, tunnel)
        } catch {
            server.close()
            thread.join()
            throw error
        }
        server.close()
        thread.join()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    private func connect(_ path: String) throws -> FileDescriptor {
        guard let socket = UnixSocket.connect(to: path) else { throw TransportError("connect", code: errno) }
        let raw = dup(socket.descriptor.raw)
        // No test hangs, whatever it finds.
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        _ = unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        return FileDescriptor(owning: raw)
    }

    private func send(_ text: String, _ descriptors: [Int32] = [], to socket: borrowing FileDescriptor) {
        let bytes = Array(text.utf8)
        _ = unsafe weft_send_descriptors(socket.raw, bytes, bytes.count, descriptors, UInt32(descriptors.count))
    }

    private func answer(_ socket: borrowing FileDescriptor, limit: Int = 1 << 20) -> String {
        String(
            decoding: UnixSocket(descriptor: FileDescriptor(owning: dup(socket.raw))).read(limit: limit), as: UTF8.self)
    }

    private func ask(_ path: String, _ text: String, _ descriptors: [Int32] = []) throws -> String {
        let socket = try connect(path)
        send(text, descriptors, to: socket)
        return answer(socket)
    }

    @Test("answers, and passes on what came along")
    func answers() throws {
        let file = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        try serving { (path, _) throws in
            #expect(try ask(path, "file\n") == "/etc/weft/echo.conf\n")
            #expect(try ask(path, "status\n").hasPrefix("{"))
            #expect(try ask(path, "nothing\n") == "unknown request\n")
            let owners = Set([0, getuid()]).sorted()
            #expect(try ask(path, "reload\n/a\n\n", [file]) == "good\n/a [] \(owners)\n")
            #expect(try ask(path, "reload\n/a\nb\n\n", [file, file]) == "good\n/a [\"b\"] \(owners)\n")
            #expect(try ask(path, "plan\n/a\n\n", [file]) == "bad\nbad file\n")
            // Names and files must go together.
            for (text, files) in [
                ("reload\n/a\n\n", []), ("reload\n/a\nb\n\n", [file]), ("plan\n/a\n\n", [file, file]),
            ] {
                #expect(try ask(path, text, files) == "bad\nthe files didn't come along\n")
            }
        }
    }

    @Test("keeps nothing of what came along")
    func keepsNothing() throws {
        let file = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        func count() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        try serving { (path, _) throws in
            let before = try count()
            for _ in 0..<50 {
                _ = try ask(path, "reload\n/a\n\n", [file])
                _ = try ask(path, "status\n", [file, file])
                _ = try ask(path, "x\n", Array(repeating: file, count: 60))
                _ = try connect(path)
            }
            // A test beside this one may open some, too.
            let after = try count()
            #expect(after < before + 50)
        }
    }

    @Test("lets nobody who is slow hold up another, nor stay")
    func slow() throws {
        try serving { (path, tunnel) throws in
            let idle = try connect(path)
            let slow = try connect(path)
            send("sta", to: slow)
            let deaf = try connect(path)
            tunnel.longAnswer.store(true, ordering: .relaxed)
            let file = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            send("reload\n/a\n\n", [file], to: deaf)
            let begin = ContinuousClock.now
            #expect(try ask(path, "file\n") == "/etc/weft/echo.conf\n")
            // Before any of the others' time is over.
            #expect(ContinuousClock.now - begin < .seconds(2))
            // Both are given up, unanswered.
            #expect(answer(idle) == "")
            #expect(answer(slow) == "")
            #expect(answer(deaf, limit: 8 << 20).hasPrefix("good\nlong\n"))
        }
    }

    @Test("serves on though all its places are taken for a while")
    func full() throws {
        try serving { (path, _) throws in
            var idle: [SharedDescriptor] = []
            for _ in 0..<AdminServer.mostConnections { idle.append(SharedDescriptor(try connect(path))) }
            #expect(try ask(path, "file\n") == "/etc/weft/echo.conf\n")
        }
    }

    @Test("closes a connection that asked for the end only with the process' end")
    func stop() throws {
        try serving { (path, _) throws in
            let socket = try connect(path)
            send("stop\n", to: socket)
            var buffer = [UInt8](repeating: 0, count: 16)
            #expect(unsafe read(socket.raw, &buffer, buffer.count) == 3)
            var patience = timeval(tv_sec: 3, tv_usec: 0)
            _ = unsafe setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            #expect(unsafe read(socket.raw, &buffer, buffer.count) == -1)
            #expect(try ask(path, "file\n") == "/etc/weft/echo.conf\n")
        }
    }
}
