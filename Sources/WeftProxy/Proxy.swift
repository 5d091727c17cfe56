// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftSockets

/// Joins a host with an overlay: what each of them offers of the other. All of it runs on one reactor.
public final class Proxy: Sendable {
    let host: KernelNetwork
    let overlay: any OverlayNetwork
    private let reactor: SocketReactor

    /// How long whoever asks has for it, and a connection for coming up.
    static let patience = Duration.seconds(30)

    public init(host: KernelNetwork, overlay: any OverlayNetwork, on reactor: SocketReactor) {
        (self.host, self.overlay, self.reactor) = (host, overlay, reactor)
    }

    /// Goes on until the reactor ends.
    func start(_ work: @escaping @Sendable () async -> Void) {
        Task(executorPreference: reactor) { await work() }
    }

    static var deadline: Instant { SystemCall.now().advanced(by: patience) }

    /// Serves all who come.
    public func serve(
        _ listener: any OverlayListener, _ serve: @escaping @Sendable (Proxy, any OverlayStream) async -> Void
    ) {
        start {
            while true {
                do throws(OverlaySocketError) {
                    let stream = try await listener.accept()
                    self.start { await serve(self, stream) }
                } catch .closed {
                    return
                } catch {
                    // Without a descriptor left the next one has to wait until one is.
                    usleep(10_000)
                }
            }
        }
    }

    /// Joins whoever came with a place of the other side's.
    public static func forward(
        _ stream: any OverlayStream, _ connect: () async throws(OverlaySocketError) -> any OverlayStream
    ) async {
        do throws(OverlaySocketError) {
            await Relay.join(stream, try await connect())
        } catch {
            stream.abort()
        }
    }

    /// Opens a connection into the overlay.
    func connect(_ target: SOCKS5Message.Target) async throws(OverlaySocketError) -> any OverlayStream {
        switch target {
        case .endpoint(let endpoint): try await overlay.connect(to: endpoint, deadline: Self.deadline)
        case .name(let name, let port): try await overlay.connect(to: name, port: port, deadline: Self.deadline)
        }
    }

    /// Has a place of the host's lead to one of the overlay's.
    public func forward(_ listener: any OverlayListener, to target: SOCKS5Message.Target) {
        serve(listener) { proxy, stream in
            await Self.forward(stream) { () async throws(OverlaySocketError) in try await proxy.connect(target) }
        }
    }

    /// Has a port of the overlay's lead to a place of the host's.
    public func expose(_ listener: any OverlayListener, to endpoint: Endpoint) {
        serve(listener) { proxy, stream in
            await Self.forward(stream) { () async throws(OverlaySocketError) in
                try await proxy.host.connect(to: endpoint, deadline: Self.deadline)
            }
        }
    }
}
