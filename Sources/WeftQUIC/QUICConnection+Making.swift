// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Weft
import WeftControl

extension QUICConnection {
    /// What a connection is begun with.
    struct Beginning {
        let id: SessionID
        let endpoint: Endpoint
        /// Which of our addresses was called; nil where we call.
        let local: IPAddress?
        /// The first id that we call; nil where we are called.
        let target: ConnectionID?
        let credentials: Credentials
        let tags: ConnectionTags
        let resets: ResetTokens
        let streamLimit: Int
        let now: Instant
        /// Whether `weft/1` is offered, or taken.
        let speaksWeft: Bool
        let wanted: (PublicKey) -> Bool
        /// Whether a caller may speak as Weft's first release does.
        let mayBeFirstRelease: (PublicKey) -> Bool
        /// What a peer is told first where `weft/1` is spoken.
        let greeting: (PublicKey) -> Capabilities
    }

    /// What a first packet says that came back with a token of ours.
    struct FirstPacket {
        let version: UInt32
        /// What the client calls: the id of our Retry.
        let destination: ConnectionID
        let source: ConnectionID
        /// What it called first.
        let original: ConnectionID
    }

    @unsafe
    func make(_ beginning: Beginning, _ first: FirstPacket?) -> OpaquePointer? {
        var settings = unsafe ngtcp2_settings()
        unsafe ngtcp2_settings_default_versioned(NGTCP2_SETTINGS_V2, &settings)
        unsafe settings.initial_ts = beginning.now.nanoseconds
        unsafe settings.initial_rtt = QUICRules.initialRoundTrip
        unsafe settings.handshake_timeout = QUICRules.handshakeTimeout
        // So there is nothing that a search for the path's MTU could try. It isn't turned off: ngtcp2 asserts that it's on
        // when a peer comes back to the address that it left.
        unsafe settings.max_tx_udp_payload_size = QUICRules.datagramByteCount
        var parameters = unsafe ngtcp2_transport_params()
        unsafe ngtcp2_transport_params_default_versioned(NGTCP2_TRANSPORT_PARAMS_V1, &parameters)
        unsafe parameters.initial_max_stream_data_bidi_local = QUICRules.streamWindow
        unsafe parameters.initial_max_stream_data_bidi_remote = QUICRules.streamWindow
        unsafe parameters.initial_max_data = QUICRules.sessionWindow
        unsafe parameters.initial_max_streams_bidi = UInt64(beginning.streamLimit)
        unsafe parameters.max_idle_timeout = QUICRules.idleTimeout
        unsafe parameters.active_connection_id_limit = 4
        let own = ConnectionID(tags.makeID())
        ids = [own]
        var source = own.native
        let path = NetworkPath(to: beginning.endpoint)
        var callbacks = unsafe Self.callbacks(dialing: first == nil)
        let owner = unsafe Unmanaged.passUnretained(self).toOpaque()
        var made: OpaquePointer?
        guard let first else {
            guard var destination = beginning.target?.native else { return nil }
            let code = unsafe ngtcp2_conn_client_new_versioned(
                &made, &destination, &source, path.pointer, NGTCP2_PROTO_VER_V1, NGTCP2_CALLBACKS_V1,
                &callbacks, NGTCP2_SETTINGS_V2, &settings, NGTCP2_TRANSPORT_PARAMS_V1, &parameters, nil,
                owner)
            return unsafe code == 0 ? made : nil
        }
        // The client goes on to use the id of our Retry until it knows this one.
        ids.append(first.destination)
        unsafe parameters.original_dcid = first.original.native
        unsafe parameters.original_dcid_present = 1
        unsafe parameters.retry_scid = first.destination.native
        unsafe parameters.retry_scid_present = 1
        unsafe parameters.stateless_reset_token_present = 1
        let hasToken = unsafe withUnsafeMutableBytes(of: &parameters.stateless_reset_token) { token in
            unsafe token.baseAddress.map {
                unsafe resets.write(for: &source, to: $0.assumingMemoryBound(to: UInt8.self))
            }
        }
        guard hasToken == true else { return nil }
        var client = first.source.native
        // ngtcp2 isn't told the token, which was verified: it would ignore the packet by which a client gives its call up,
        // as its own clients leave the token out of that one.
        let code = unsafe ngtcp2_conn_server_new_versioned(
            &made, &client, &source, path.pointer, first.version, NGTCP2_CALLBACKS_V1,
            &callbacks, NGTCP2_SETTINGS_V2, &settings, NGTCP2_TRANSPORT_PARAMS_V1, &parameters, nil,
            owner)
        return unsafe code == 0 ? made : nil
    }
}
