// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftControl

/// Where an ICX peer's data goes: ICX sends data and keep-alives from hashed ports and takes data at one.
struct ICXPeerTests {
    private static let hashed = Endpoint(Tunnels.address(1).address, port: 50_123)

    /// Both ends in keys; the lower one, which dials, is ICX's.
    private func tunnels(icx: Bool, dataPort: UInt16? = nil) throws -> Tunnels {
        let tunnels = try Tunnels(dials: (true, false))
        let (dialer, listener) = (tunnels.hosts[0], tunnels.hosts[1])
        try tunnels.set(dialer, towards: listener, dials: true, icx: icx)
        try listener.control.setPeers(
            [
                ControlPeer(
                    publicKey: dialer.identity.publicKey, network: Tunnels.network, vni: Tunnels.vni,
                    controlPort: icx ? 6082 : nil, dataPort: dataPort)
            ], at: tunnels.now)
        #expect(tunnels.time { tunnels.isUp } != nil)
        return tunnels
    }

    /// Carries a keep-alive from one host's engine to the other's, from a port of the test's choice.
    private func carryKeepAlive(
        _ tunnels: Tunnels, from sender: Tunnels.Host, at place: Endpoint, to target: Tunnels.Host
    )
        throws
    {
        try sender.engine.requestKeepAlive(of: Tunnels.network)
        var sealing = try Lane(sender.engine)
        var opening = try Lane(target.engine)
        var toUnderlay = ToUnderlay()
        var fromUnderlay = FromUnderlay()
        var toOverlay = ToOverlay(capacity: 4)
        sealing.keepAlives(into: &toUnderlay, at: tunnels.now)
        let count = toUnderlay.runs.count
        try #require(count == 1)
        let run = toUnderlay.runs[0].place
        var slot = fromUnderlay.arena.mutableBytes
        for index in 0..<run.count {
            // Safe: a byte of a run, which lies within the arena, as the slot does.
            unsafe slot.storeBytes(
                of: toUnderlay.arena.bytes.unsafeLoad(fromByteOffset: run.offset + index, as: UInt8.self),
                toByteOffset: index, as: UInt8.self)
        }
        fromUnderlay.buffers.append(.init(place: PacketRange(offset: 0, count: run.count), source: place))
        opening.decapsulate(&fromUnderlay, into: &toOverlay, at: tunnels.now)
        tunnels.run(for: .seconds(1))
    }

    @Test("A keep-alive by itself moves nobody, and is told to who follows peers", arguments: [true, false])
    func keepAlives(icx: Bool) throws {
        let tunnels = try tunnels(icx: icx)
        let listener = tunnels.hosts[1]
        #expect(listener.network?.endpoint == Tunnels.address(1))
        try carryKeepAlive(tunnels, from: tunnels.hosts[0], at: Self.hashed, to: listener)
        #expect(listener.network?.endpoint == Tunnels.address(1))
        #expect(listener.engine.takePathNews().map(\.sighting?.remote) == [Self.hashed])
        // Another address is no different.
        let elsewhere = Endpoint(Tunnels.address(7).address, port: 50_124)
        try carryKeepAlive(tunnels, from: tunnels.hosts[0], at: elsewhere, to: listener)
        #expect(listener.network?.endpoint == Tunnels.address(1))
        #expect(listener.engine.takePathNews().map(\.sighting?.remote) == [elsewhere])
        #expect(listener.control.statuses()[0].failures == 0)
    }

    @Test("The control connection moves the address, and never the data port", arguments: [nil, 7000] as [UInt16?])
    func controlMoves(dataPort: UInt16?) throws {
        let tunnels = try tunnels(icx: true, dataPort: dataPort)
        let (dialer, listener) = (tunnels.hosts[0], tunnels.hosts[1])
        #expect(listener.network?.endpoint == Endpoint(Tunnels.address(1).address, port: dataPort ?? 6081))
        dialer.address = Endpoint(Tunnels.address(9).address, port: 40_001)
        dialer.control.showOurselves(at: tunnels.now)
        tunnels.run(for: .seconds(2))
        #expect(listener.network?.endpoint == Endpoint(Tunnels.address(9).address, port: dataPort ?? 6081))
        #expect(listener.control.statuses()[0].endpoint == listener.network?.endpoint)
        // A new session from elsewhere says so, too.
        dialer.isConnected = false
        tunnels.run(for: .seconds(40))
        dialer.address = Endpoint(Tunnels.address(8).address, port: 40_002)
        dialer.isConnected = true
        tunnels.run(for: .seconds(15))
        #expect(listener.control.statuses()[0].state == .connected)
        #expect(listener.network?.endpoint == Endpoint(Tunnels.address(8).address, port: dataPort ?? 6081))
    }
}
