// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

/// Datagrams that belong to no connection: what is answered, how often, and what becomes a connection.
extension QUICEndpoint {
    /// Bytes in the shortest datagram that QUIC could have sent us (RFC 9000, section 10.3).
    static let shortestDatagram = 21

    func negotiateVersion(
        _ count: Int, _ destination: [UInt8], _ origin: [UInt8], _ source: AddressPair, _ now: Instant
    ) {
        guard count >= QUICRules.datagramByteCount, mayCall(source.remote, now) else { return }
        counters.versionNegotiations += 1
        var versions = [NGTCP2_PROTO_VER_V1]
        unsafe answer(to: source) { packet in
            unsafe ngtcp2_pkt_write_version_negotiation(
                packet.baseAddress, packet.count, UInt8.random(in: 0...255), origin, origin.count, destination,
                destination.count, &versions, versions.count)
        }
    }

    func acceptFirst(_ datagram: Span<UInt8>, from source: AddressPair, _ now: Instant) {
        var header = unsafe ngtcp2_pkt_hd()
        let (code, token) = unsafe datagram.withUnsafeBufferPointer { bytes in
            let code = unsafe ngtcp2_accept(&header, bytes.baseAddress, bytes.count)
            // Safe: the token points into the datagram and is copied while it is lent.
            let token =
                unsafe code == 0 ? Array(UnsafeBufferPointer(start: header.token, count: header.tokenlen)) : []
            return (code, token)
        }
        guard code == 0, datagram.count >= QUICRules.datagramByteCount else {
            counters.malformed += 1
            return
        }
        guard !token.isEmpty else { return unsafe retry(header, source, now) }
        guard let original = unsafe verify(token, header, source.remote, now) else {
            counters.badTokens += 1
            return
        }
        makeWay(for: SourceAddress(source.remote.address), now)
        let first = unsafe QUICConnection.FirstPacket(
            version: header.version, destination: ConnectionID(header.dcid), source: ConnectionID(header.scid),
            original: original)
        guard
            let session = begin(
                at: source, streams: streamLimit, now, accepting: first,
                wanted: { [weak self] in self?.authorized[$0] != nil }),
            let connection = connections[session]
        else { return }
        halfOpen.add(session, of: SourceAddress(source.remote.address))
        arrivalPath.set(to: source.remote)
        connection.receive(datagram, over: arrivalPath, now: now)
        settle(connection)
    }

    /// Ends the handshakes in whose place another one of a source may begin.
    private func makeWay(for source: SourceAddress, _ now: Instant) {
        while let oldest = halfOpen.surplus(
            for: source, perSource: limits.handshakesPerSource, total: limits.handshakes)
        {
            halfOpen.remove(oldest)
            counters.evicted += 1
            guard let connection = connections[oldest] else { continue }
            // Who it was hears nothing: an answer would be one more that strangers can have.
            connection.end(.timeout, now)
            settle(connection)
        }
    }

    /// A short packet for no connection of ours: the reset of one, or one that a session before our restart goes on with.
    func takeStray(_ datagram: Span<UInt8>, _ destination: [UInt8], _ source: AddressPair, _ now: Instant) {
        arrivalPath.set(to: source.remote)
        for session in byRemote[source.remote] ?? [] {
            guard let connection = connections[session] else { continue }
            connection.receive(datagram, over: arrivalPath, now: now)
            settle(connection)
            if connection.sawReset { return }
        }
        reset(destination, datagram.count, source, now)
    }

    private func reset(_ destination: [UInt8], _ count: Int, _ source: AddressPair, _ now: Instant) {
        // Two ends without state must not answer each other for ever: each answer is shorter than what caused it.
        guard ConnectionID(destination).isOurs(by: tags), count > Self.shortestDatagram else {
            counters.malformed += 1
            return
        }
        guard resetLimiter.admits(source.remote.address, at: now) else {
            counters.overLimit += 1
            return
        }
        var id = ConnectionID(destination).native
        var token = [UInt8](repeating: 0, count: ResetTokens.byteCount)
        let isMade = unsafe token.withUnsafeMutableBufferPointer { token in
            unsafe token.baseAddress.map { unsafe resets.write(for: &id, to: $0) } ?? false
        }
        guard isMade else { return }
        counters.resets += 1
        var noise = (0..<min(count - 1, 42) - ResetTokens.byteCount).map { _ in UInt8.random(in: 0...255) }
        // Where a connection id stands in other packets, so that a shared port tells this one for QUIC's too.
        noise[1] = ConnectionID.firstByte
        unsafe answer(to: source) { packet in
            unsafe ngtcp2_pkt_write_stateless_reset(packet.baseAddress, packet.count, token, noise, noise.count)
        }
    }

    /// Puts a packet of its own into the queue.
    func answer(to place: AddressPair, _ write: (UnsafeMutableBufferPointer<UInt8>) -> ngtcp2_ssize) {
        var packet = [UInt8](repeating: 0, count: QUICRules.datagramByteCount)
        let count = unsafe packet.withUnsafeMutableBufferPointer { unsafe write($0) }
        guard count > 0 else { return }
        loose.append((Array(packet.prefix(count)), place))
    }

    /// Whether a source's first packet may be answered now.
    func mayCall(_ source: Endpoint, _ now: Instant) -> Bool {
        guard callLimiter.admits(source.address, at: now) else {
            counters.overLimit += 1
            return false
        }
        return true
    }
}
