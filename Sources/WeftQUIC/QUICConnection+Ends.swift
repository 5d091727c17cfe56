// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

extension QUICConnection {
    func end(readFailed code: Int32, _ now: Instant) {
        guard let connection = unsafe connection else { return }
        switch code {
        case NGTCP2_ERR_DRAINING:
            if sawReset { return end(.reset, now) }
            // Safe: ngtcp2 keeps what the peer said as long as the connection lives.
            guard let error = unsafe ngtcp2_conn_get_ccerr(connection)?.pointee else {
                return end(.violation(Self.text(code)), now)
            }
            let why: SessionEnd =
                switch unsafe error.error_code {
                case _ where unsafe error.type == NGTCP2_CCERR_TYPE_APPLICATION:
                    unsafe .closedByPeer(code: error.error_code)
                // The TLS alerts that a certificate can cause (RFC 8446, section 6.2).
                case 0x100 + 42...0x100 + 49, 0x100 + 116: .refused("it doesn't accept this end's key")
                case 0x100...0x1FF: .refused(unsafe "TLS alert \(error.error_code - 0x100)")
                default: unsafe .closedByPeer(code: error.error_code)
                }
            end(why, now)
        case NGTCP2_ERR_DROP_CONN, NGTCP2_ERR_RETRY:
            end(.violation(Self.text(code)), now)
        default:
            let alert = unsafe ngtcp2_conn_get_tls_alert(connection)
            var error = unsafe ngtcp2_ccerr()
            if fault != nil {
                unsafe ngtcp2_ccerr_set_transport_error(&error, UInt64(NGTCP2_PROTOCOL_VIOLATION), nil, 0)
            } else if code == NGTCP2_ERR_CRYPTO {
                unsafe ngtcp2_ccerr_set_tls_alert(
                    &error, alert == 0 ? 80 : alert, nil, 0)
            } else {
                unsafe ngtcp2_ccerr_set_liberr(&error, code, nil, 0)
            }
            let hasBadKey = refusedKey || (code == NGTCP2_ERR_CRYPTO && peer == nil && handshakeHasCertificate)
            let said = fault?.description ?? Self.text(code)
            let why: SessionEnd =
                hasBadKey ? .wrongKey : .violation(alert == 0 ? said : "\(said), TLS alert \(alert)")
            unsafe end(why, now, farewell: farewell(&error, now))
        }
    }

    /// Whether the handshake got to where the other end must have shown a certificate (RFC 8446, section 6.2:
    /// certificate_required).
    private var handshakeHasCertificate: Bool {
        guard let connection = unsafe connection else { return false }
        return unsafe ngtcp2_conn_get_tls_alert(connection) == 116
    }

    /// Closes with an application's code.
    func close(_ why: SessionEnd, code: UInt64, _ now: Instant) {
        guard isOpen else { return }
        var error = unsafe ngtcp2_ccerr()
        unsafe ngtcp2_ccerr_set_application_error(&error, code, nil, 0)
        unsafe end(why, now, farewell: farewell(&error, now))
    }

    private func farewell(_ error: inout ngtcp2_ccerr, _ now: Instant) -> [UInt8] {
        guard let connection = unsafe connection else { return [] }
        let path = NetworkPath()
        var packet = [UInt8](repeating: 0, count: QUICRules.datagramByteCount)
        let count = unsafe packet.withUnsafeMutableBufferPointer { packet in
            unsafe ngtcp2_conn_write_connection_close_versioned(
                connection, path.pointer, NGTCP2_PKT_INFO_V1, nil, packet.baseAddress, packet.count, &error,
                now.nanoseconds)
        }
        guard count > 0 else { return [] }
        farewellTarget = path.remote
        return Array(packet.prefix(count))
    }

    func end(_ why: SessionEnd, _ now: Instant, farewell: [UInt8] = []) {
        guard isOpen else { return }
        state = .over(
            farewell: farewell,
            until: Instant(nanoseconds: now.nanoseconds &+ QUICRules.closingTime))
        farewellIsDue = !farewell.isEmpty
        outgoing.removeAll()
        unsent.removeAll()
        events.append(.ended(id, peer: peer, why))
    }

    static func text(_ code: Int32) -> String {
        // Safe: the text is a constant of ngtcp2's.
        unsafe ngtcp2_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }
}
