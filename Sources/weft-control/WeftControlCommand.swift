// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftControl
import WeftControlProcess
import WeftDNS
import WeftPair
import WeftQUIC
import WeftSandbox

/// The control process, as a tunnel's spawner starts it: the pair and the identity key lie on descriptors, and it needs nothing
/// else. People never start it.
@main
enum WeftControlCommand {
    private static let pair: Int32 = 3
    private static let identityFile: Int32 = 4

    static func main() {
        guard fcntl(pair, F_GETFD) >= 0, fcntl(identityFile, F_GETFD) >= 0 else {
            fail("weft-control is started by `weft up` and `weft keyserve`, never by hand")
        }
        do {
            let warning = lockMemory()
            let identity = try readIdentity()
            // Whatever libraries read from files they read before the sandbox.
            _ = try QUICEndpoint(identity.identity)
            let resolvers = try DNSChannel()
            try Sandbox.enter(.control)
            let socket = PairSocket(FileDescriptor(owning: pair))
            let process = ControlProcess(identity.identity.publicKey, over: socket, resolvers: resolvers) { place in
                var limits = QUICEndpoint.Limits()
                limits.handshakesPerSource = place.handshakesPerSource
                limits.callsPerSource = place.callsPerSource
                return try QUICEndpoint(identity.identity, at: place.place, limits: limits)
            }
            if let warning { process.log("warning: \(warning)") }
            try process.run()
        } catch PairFailure.closed {
            // The data process is gone, and nobody needs us any more.
            exit(0)
        } catch {
            fail("\(error)")
        }
    }

    /// Libraries keep copies of keys in memory of their own: all of it is kept out of swap. What forbids that, in words.
    private static func lockMemory() -> String? {
        do throws(ProcessMemory.Refusal) {
            try ProcessMemory.lock(isExempt: false)
            return nil
        } catch {
            return error.description
        }
    }

    /// An identity that closures can hold.
    private final class Held: Sendable {
        let identity: Identity

        init(_ identity: consuming Identity) { self.identity = identity }
    }

    private static func readIdentity() throws -> Held {
        let file = FileDescriptor(owning: identityFile)
        let pem = try SecretBytes(count: 4096) { bytes throws(TransportError) in
            let count = unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                unsafe pread(file.raw, bytes.baseAddress, bytes.count, 0)
            }
            guard count > 0, count < bytes.count else { throw TransportError("read the identity key", code: errno) }
        }
        return Held(try Identity(pem: pem.span))
    }

    private static func fail(_ why: String) -> Never {
        let line = Array("weft-control: \(why)\n".utf8)
        _ = unsafe write(STDERR_FILENO, line, line.count)
        exit(1)
    }
}
