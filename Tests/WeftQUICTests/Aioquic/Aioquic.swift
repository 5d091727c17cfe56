// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Weft
import WeftControl
import WeftQUIC

/// What the independent end says of itself, as `peer.py` prints it.
struct AioquicResult: Decodable {
    let end: String
    let code: UInt64?
    let reason: String?
    let own_spi: UInt32?
    let peer_spi: UInt32?
    let vni: UInt32?
    let receive_vni: UInt32?
    let transmit_vni: UInt32?
    let receive_key: String?
    let transmit_key: String?
    /// Whether we answered under the next traffic keys.
    let updated: Bool?
}

enum Aioquic {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// The interpreter that has aioquic; the script that installs what tests need makes it.
    static let interpreter: String? = {
        let path = root.appending(path: ".build/aioquic/bin/python3").path(percentEncoded: false)
        if unsafe access(path, X_OK) == 0 { return path }
        let install = Process()
        install.executableURL = root.appending(path: "scripts/install-aioquic.sh")
        install.standardOutput = FileHandle.standardError
        guard (try? install.run()) != nil else { return nil }
        install.waitUntilExit()
        return unsafe access(path, X_OK) == 0 ? path : nil
    }()

    /// A process with the independent end.
    final class Peer {
        private let process = Process()
        private let output = Pipe()
        private let keyFile: String

        /// - Parameter script: an end of ICX's protocol, or of `weft/1`.
        init(
            _ side: String, _ identity: borrowing Identity, pinning key: PublicKey, port: UInt16, _ behaviour: String,
            script: String = "peer.py"
        ) throws {
            keyFile = NSTemporaryDirectory() + "weft-aioquic-\(UUID().uuidString).key"
            try identity.write(to: keyFile)
            process.executableURL = URL(filePath: interpreter ?? "")
            let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: script)
            process.arguments = [
                script.path(percentEncoded: false), side, keyFile, key.description, String(port), behaviour,
            ]
            process.standardOutput = output
            try process.run()
        }

        deinit {
            if process.isRunning { process.terminate() }
            unsafe unlink(keyFile)
        }

        var isRunning: Bool { process.isRunning }

        /// Waits until a server listens.
        func waitUntilListening() { _ = output.fileHandleForReading.availableData }

        func result() throws -> AioquicResult {
            process.waitUntilExit()
            let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                .split(separator: "\n")
            return try JSONDecoder().decode(AioquicResult.self, from: Data((lines.last ?? "{}").utf8))
        }
    }
}

/// Our end on a real socket of the loopback.
final class LoopbackEnd {
    let endpoint: QUICEndpoint
    let transport: KeepingTransport
    let engine: Engine
    let control: ControlPlane
    let port: UInt16
    private let socket: Int32
    private(set) var log: [String] = []

    final class Log { var lines: [String] = [] }
    let lines = Log()

    init(_ identity: borrowing Identity) throws {
        endpoint = try QUICEndpoint(identity)
        transport = KeepingTransport(endpoint)
        engine = try Engine(EngineConfiguration(lanes: 1))
        let lines = self.lines
        control = ControlPlane(identity.publicKey, over: transport, engine: engine) { lines.lines.append($0) }
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        self.socket = socket
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        port = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe bind(socket, $0, length)
                _ = unsafe getsockname(socket, $0, &length)
            }
            return unsafe UInt16(bigEndian: pointer.pointee.sin_port)
        }
    }

    deinit { close(socket) }

    /// Serves until `isDone`, ten seconds at most.
    func run(until isDone: () -> Bool) {
        let end = SystemCall.now().advanced(by: .seconds(10))
        var buffer = [UInt8](repeating: 0, count: 2048)
        while !isDone(), SystemCall.now() < end {
            control.advance(to: SystemCall.now())
            control.flush(now: SystemCall.now()) { datagram, target in send(datagram, to: target.remote) }
            var poll = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            guard unsafe Glibc.poll(&poll, 1, 5) > 0 else { continue }
            var address = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(socket, &buffer, buffer.count, 0, $0, &length)
                }
            }
            guard count > 0 else { continue }
            let source = Endpoint(
                IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)), port: UInt16(bigEndian: address.sin_port))
            let datagram = Array(buffer.prefix(count))
            control.receive(datagram.span, from: source, now: SystemCall.now())
        }
    }

    private func send(_ datagram: Span<UInt8>, to target: Endpoint) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = target.port.bigEndian
        address.sin_addr.s_addr = target.address.v4Bits.bigEndian
        let bytes = datagram.indices.map { datagram[$0] }
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(socket, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

extension MasterKeys {
    /// An SA's key as the independent end writes it.
    borrowing func hex(_ spi: UInt32) throws -> String {
        let key = try saKey(for: SPI(rawValue: spi), suite: .aes128GCM)
        let span = key.span
        return span.indices.map { index in
            let digits = String(span[index], radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
