// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftControl
import WeftQUIC
import WeftUDP

/// Asks a key server for virtual networks.
///
/// ```swift
/// let wake = try WakeEvent()
/// let port = try SharedPort(datapath.plane, sendingBy: datapath.underlay)
/// let client = try KeyClient(identity, .init(responder: key, endpoint: server), over: port, wake: wake)
/// let grant = try await client.network(for: address, addedTo: engine, prefixes: prefixes)
/// …
/// try engine.remove(grant.id)
/// client.release(grant)
/// client.close()
/// ```
public final class KeyClient: Sendable {
    private typealias Answer = Result<KeyGrant, KeyRequestError>
    private typealias Waiter = CheckedContinuation<Answer, Never>

    private let loop: ControlLoop<KeyRequester>
    private let waiters = Mutex<[KeyRequester.RequestID: Waiter]>([:])
    private let thread = Mutex<WorkerThread?>(nil)
    private let onLoss: @Sendable ([UInt32]) -> Void

    /// - Parameters:
    ///   - configuration: whom to ask.
    ///   - link: the port that control shares with data: a server sends a network's data to where its session comes from.
    ///     Nil for a port of control's own that the system chooses, where the server's file has a `ControlPort`: then it
    ///     sends data to Geneve's port.
    ///   - wake: what ends the link's waits.
    ///   - onLoss: the session ended, and these VNIs with it; called while the client is locked: it must not call the client.
    public init(
        _ identity: borrowing Identity, _ configuration: KeyRequester.Configuration,
        over link: (any ControlLink)? = nil, wake: WakeEvent? = nil,
        onLoss: @escaping @Sendable ([UInt32]) -> Void = { _ in }
    ) throws {
        let wake = try wake ?? WakeEvent()
        let transport = try QUICEndpoint(identity)
        loop = try ControlLoop(over: try link ?? OwnPort(wake: wake), wake: wake) {
            KeyRequester(configuration, over: transport)
        }
        self.onLoss = onLoss
        try thread.withLock { thread in
            thread = try WorkerThread(name: "weft-keys") { [self] in
                loop.run { requester, _ in settle(requester) }
                // Nobody waits for ever.
                loop.withMachine { requester, _ in settle(requester) }
            }
        }
    }

    /// Asks for a network for an overlay address, and waits for the answer; 10 s unless configured otherwise. From any task.
    ///
    /// The network is ours until ``release(_:)``, ``close()`` or the session's end. Who can't use it releases it.
    public func network(for address: IPAddress) async throws(KeyRequestError) -> KeyGrant {
        try await withCheckedContinuation { (waiter: Waiter) in
            loop.withMachine { requester, now in
                let request = requester.request(address, at: now)
                waiters.withLock { $0[request] = waiter }
                // Nobody else does once the client is closed.
                settle(requester)
            }
        }.get()
    }

    /// Asks for a network as ``network(for:)`` does and adds it to an engine; gives it back if the engine refuses.
    ///
    /// - Parameter older: our grant for the same address whose keys end soon. See
    ///   ``KeyGrant/add(to:prefixes:keepAliveInterval:replacing:)``.
    public func network(
        for address: IPAddress, addedTo engine: Engine, prefixes: [Prefix], replacing older: KeyGrant? = nil
    ) async throws -> KeyGrant {
        let grant = try await network(for: address)
        do {
            try grant.add(to: engine, prefixes: prefixes, replacing: older)
        } catch {
            release(grant)
            throw error
        }
        return grant
    }

    /// Gives a network back. Remove it from the engine first.
    public func release(_ grant: KeyGrant) {
        loop.withMachine { requester, now in requester.release(grant.vni, at: now) }
    }

    /// Ends the session; the responder releases what was granted on it. Whoever waits gets ``KeyRequestError/closed``.
    public func close() {
        loop.close()
        thread.withLock { $0.take()?.join() }
    }

    private func settle(_ requester: KeyRequester) {
        while let event = requester.nextEvent() {
            switch event {
            case .granted(let request, let grant): answer(request, .success(grant))
            case .failed(let request, let error): answer(request, .failure(error))
            case .lost(let vnis): onLoss(vnis)
            }
        }
    }

    private func answer(_ request: KeyRequester.RequestID, _ answer: Answer) {
        waiters.withLock { $0.removeValue(forKey: request) }?.resume(returning: answer)
    }
}
