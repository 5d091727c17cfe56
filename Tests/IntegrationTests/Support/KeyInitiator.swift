// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Weft
import WeftControl
import WeftKeys
import WeftTUN
import WeftUDP

/// An initiator in this process, whose ports and device are on another host's network: what a program makes of the library.
final class KeyInitiator: Sendable {
    let publicKey: PublicKey
    let engine: Engine
    let client: KeyClient
    private let datapath: TUNDatapath
    private let running: Mutex<WorkerThread?>
    private let losses = Losses()

    /// - Parameters:
    ///   - addresses: what it will ask for, as addresses of its device.
    ///   - isRouted: whether the server's overlay is routed to its device; of several on a host only one's can be.
    ///   - place: the server's address.
    ///   - controlPort: where the server's file has control; nil where it shares the data port at both ends.
    static func make(
        on host: Host, _ identity: consuming Identity, asking server: PublicKey, device: String = "weft1",
        addresses: [String], isRouted: Bool = true, port: UInt16 = 6081, at place: String = "192.0.2.1",
        controlPort: UInt16? = nil
    ) async throws -> KeyInitiator {
        let identity = Passed(identity)
        return try await host.inNetwork {
            try KeyInitiator(
                identity.take(), asking: server, device: device, addresses: addresses, isRouted: isRouted,
                port: port, place: place, controlPort: controlPort)
        }
    }

    private init(
        _ identity: consuming Identity, asking server: PublicKey, device: String, addresses: [String],
        isRouted: Bool, port: UInt16, place: String, controlPort: UInt16?
    ) throws {
        publicKey = identity.publicKey
        engine = try Engine(EngineConfiguration(port: port, lanes: TUNDatapath.lanes(queues: 1)))
        let routes = try ["10.77.0.0/24", "fd77::/64"].map { try Prefix($0).orFail() }
        datapath = try TUNDatapath(
            TUNConfiguration(
                name: device, addresses: try addresses.map { try InterfaceAddress($0).orFail() }, mtu: 1400, port: port,
                routes: isRouted ? .table(routes, 254) : .none), engine: engine)
        let endpoint = try Endpoint("\(place):\(controlPort ?? 6081)").orFail()
        let configuration = KeyRequester.Configuration(
            responder: server, endpoint: endpoint, dataPort: controlPort == nil ? nil : 6081)
        let losses = losses
        let noteLoss = { @Sendable (vnis: [UInt32]) in losses.add(vnis) }
        let wake = try WakeEvent()
        client =
            if controlPort == nil {
                try KeyClient(
                    identity, configuration, over: SharedPort(datapath.plane, sendingBy: datapath.underlay),
                    wake: wake, onLoss: noteLoss)
            } else {
                try KeyClient(identity, configuration, onLoss: noteLoss)
            }
        let datapath = datapath
        running = Mutex(try WorkerThread(name: "initiator") { try? datapath.run() })
    }

    /// VNIs that were lost with their sessions.
    var lost: [UInt32] { losses.all }

    /// Asks for a network and takes it into use.
    func network(for address: String) async throws -> KeyGrant {
        let prefixes = ["10.77.0.0/24", "fd77::/64"].compactMap { Prefix($0) }
        let address = try IPAddress(address).orFail()
        return try await client.network(
            for: address, addedTo: engine, prefixes: prefixes.filter { $0.family == address.family })
    }

    /// Asks without any use for the answer.
    func refusal(of address: String) async throws -> KeyRequestError? {
        do throws(KeyRequestError) {
            client.release(try await client.network(for: IPAddress(address) ?? IPAddress(v4: 0)))
            return nil
        } catch {
            return error
        }
    }

    func release(_ grant: KeyGrant) throws {
        try engine.remove(.vni(grant.vni))
        client.release(grant)
    }

    /// Ends session, device and ports.
    func close() {
        client.close()
        datapath.close()
        running.withLock { $0.take()?.join() }
    }

    deinit { close() }
}

/// VNIs that were lost.
private final class Losses: Sendable {
    private let vnis = Mutex<[UInt32]>([])

    var all: [UInt32] { vnis.withLock { $0 } }

    func add(_ more: [UInt32]) { vnis.withLock { $0 += more } }
}

/// Hands a value that can't be copied to one thread.
private final class Passed<Value: ~Copyable & Sendable>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: consuming Value) { self.value = Mutex(consume value) }

    func take() throws -> Value {
        guard let value = value.withLock({ $0.take() }) else { throw TestFailure("it was taken before") }
        return value
    }
}
