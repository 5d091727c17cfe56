// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftControl
import WeftQUIC
import WeftUDP

/// Answers initiators that ask for keys for overlay addresses, and keeps an engine's networks as they were granted.
public final class KeyServer: Sendable {
    private let loop: ControlLoop<KeyResponder>

    /// - Parameters:
    ///   - initiators: who may ask, and for what.
    ///   - engine: gets the networks; VNIs that it has otherwise are never granted.
    ///   - link: where initiators call; its waits end when `wake` is signalled.
    ///   - log: takes a line for people, from any thread.
    public init(
        _ identity: borrowing Identity, _ configuration: KeyResponder.Configuration,
        initiators: [AuthorizedInitiator], engine: Engine, over link: any ControlLink, wake: WakeEvent,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        let transport = try QUICEndpoint(identity)
        loop = try ControlLoop(over: link, wake: wake) {
            let responder = KeyResponder(configuration, over: transport, engine: engine, log: log)
            responder.setInitiators(initiators, at: SystemCall.now())
            return responder
        }
    }

    /// Runs until ``close()``, in the caller's thread; all networks go then.
    public func run() { loop.run() }

    /// Ends ``run()`` within a moment.
    public func close() { loop.close() }

    /// Sets who may ask. See ``KeyResponder/setInitiators(_:_:at:)``.
    public func setInitiators(_ initiators: [AuthorizedInitiator], _ configuration: KeyResponder.Configuration) {
        loop.withMachine { responder, now in responder.setInitiators(initiators, configuration, at: now) }
    }

    /// How each initiator is doing.
    public func statuses() -> [InitiatorStatus] { loop.withMachine { responder, _ in responder.statuses() } }

    /// Calls that came to nothing: strangers', and initiators' that failed.
    public var turnedAway: UInt64 { loop.withMachine { responder, _ in responder.turnedAway } }

    /// The networks that are granted, by VNI.
    public func networks() -> [GrantedNetwork] {
        loop.withMachine { responder, _ in responder.networks() }.sorted { $0.vni < $1.vni }
    }
}
