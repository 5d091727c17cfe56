// SPDX-License-Identifier: Apache-2.0
import CWeftQUIC
import Glibc
import Weft
import WeftControl

extension QUICConnection {
    /// What ngtcp2 calls. All of them run while one of our own calls into ngtcp2 does.
    @unsafe
    static func callbacks(dialing: Bool) -> ngtcp2_callbacks {
        var callbacks = ngtcp2_callbacks()
        if dialing {
            unsafe callbacks.client_initial = ngtcp2_crypto_client_initial_cb
            unsafe callbacks.recv_retry = { native, header, owner in
                // Its tag is right, and only who saw our packet knows what that covers.
                unsafe QUICConnection.from(owner)?.sawRetry = true
                return unsafe ngtcp2_crypto_recv_retry_cb(native, header, owner)
            }
        } else {
            unsafe callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb
        }
        unsafe callbacks.recv_crypto_data = { native, level, offset, data, count, owner in
            // After the handshake there could be tickets, which nobody asked for, and nothing else (RFC 9001, section 6).
            guard let connection = unsafe QUICConnection.from(owner), connection.isShakingHands else {
                unsafe ngtcp2_conn_set_tls_alert(native, TLSRules.unexpectedMessage)
                return NGTCP2_ERR_CRYPTO
            }
            return unsafe ngtcp2_crypto_recv_crypto_data_cb(native, level, offset, data, count, owner)
        }
        unsafe callbacks.encrypt = ngtcp2_crypto_encrypt_cb
        unsafe callbacks.decrypt = { target, aead, context, text, textCount, nonce, nonceCount, data, dataCount in
            let code = unsafe ngtcp2_crypto_decrypt_cb(
                target, aead, context, text, textCount, nonce, nonceCount, data, dataCount)
            guard code == 0 else { return code }
            guard let connection = ReadingConnection.current, let header = unsafe data, dataCount > 0,
                let payload = unsafe target, textCount >= TLSRules.tagByteCount
            else { return NGTCP2_ERR_CALLBACK_FAILURE }
            // Safe: ngtcp2 has written as many bytes as were sealed, less the tag, and lends them until we return.
            let bytes = unsafe UnsafeBufferPointer(start: payload, count: textCount - TLSRules.tagByteCount)
            let isAdmitted = unsafe connection.admits(bytes.span, firstByte: header.pointee)
            return isAdmitted ? 0 : NGTCP2_ERR_CALLBACK_FAILURE
        }
        unsafe callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb
        unsafe callbacks.update_key = ngtcp2_crypto_update_key_cb
        unsafe callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb
        unsafe callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb
        unsafe callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb
        unsafe callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb
        unsafe callbacks.rand = { target, count, _ in
            guard let target = unsafe target else { return }
            for index in 0..<count { unsafe target[index] = UInt8.random(in: 0...255) }
        }
        unsafe callbacks.handshake_completed = { _, owner in
            unsafe QUICConnection.from(owner)?.handshakeIsDone = true
            return 0
        }
        unsafe callbacks.recv_stateless_reset = { _, _, owner in
            unsafe QUICConnection.from(owner)?.sawReset = true
            return 0
        }
        unsafe addIDs(to: &callbacks)
        unsafe addStreams(to: &callbacks)
        return callbacks
    }

    @unsafe
    private static func addIDs(to callbacks: inout ngtcp2_callbacks) {
        unsafe callbacks.get_new_connection_id = { _, id, token, count, owner in
            guard let connection = unsafe QUICConnection.from(owner), let id = unsafe id, let token = unsafe token,
                count == ConnectionID.byteCount
            else { return NGTCP2_ERR_CALLBACK_FAILURE }
            let fresh = ConnectionID(connection.tags.makeID())
            unsafe id.pointee = fresh.native
            guard unsafe connection.resets.write(for: id, to: token) else { return NGTCP2_ERR_CALLBACK_FAILURE }
            connection.newIDs.append(fresh)
            return 0
        }
        unsafe callbacks.remove_connection_id = { _, id, owner in
            guard let connection = unsafe QUICConnection.from(owner), let id = unsafe id else { return 0 }
            connection.retiredIDs.append(ConnectionID(unsafe id.pointee))
            return 0
        }
        unsafe callbacks.path_validation = { _, _, path, _, result, owner in
            guard let connection = unsafe QUICConnection.from(owner), let path = unsafe path,
                result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS,
                let endpoint = unsafe NetworkPath.endpoint(of: path.pointee.remote)
            else { return 0 }
            connection.events.append(.moved(connection.id, to: AddressPair(endpoint, from: connection.local)))
            return 0
        }
    }

    @unsafe
    private static func addStreams(to callbacks: inout ngtcp2_callbacks) {
        unsafe callbacks.recv_stream_data = { native, flags, stream, _, bytes, count, owner, _ in
            guard let connection = unsafe QUICConnection.from(owner) else { return NGTCP2_ERR_CALLBACK_FAILURE }
            let data = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
            connection.events.append(
                .received(
                    connection.id, StreamID(rawValue: stream), data,
                    isEnd: flags & UInt32(NGTCP2_STREAM_DATA_FLAG_FIN) != 0))
            // The event has its own copy, so that the peer's credit can go back at once.
            unsafe ngtcp2_conn_extend_max_stream_offset(native, stream, UInt64(count))
            unsafe ngtcp2_conn_extend_max_offset(native, UInt64(count))
            return 0
        }
        unsafe callbacks.acked_stream_data_offset = { _, stream, offset, count, owner, _ in
            guard let connection = unsafe QUICConnection.from(owner), let outgoing = connection.outgoing[stream],
                offset + count >= UInt64(outgoing.count),
                !connection.hasGreeting || stream != Greeting.stream.rawValue
            else { return 0 }
            connection.events.append(.delivered(connection.id, StreamID(rawValue: stream)))
            return 0
        }
        unsafe callbacks.stream_reset = { _, stream, _, _, owner, _ in
            guard let connection = unsafe QUICConnection.from(owner) else { return 0 }
            connection.events.append(.streamFailed(connection.id, StreamID(rawValue: stream)))
            return 0
        }
        unsafe callbacks.stream_close = { native, flags, stream, _, owner, _ in
            guard let connection = unsafe QUICConnection.from(owner) else { return 0 }
            connection.outgoing[stream] = nil
            if flags & UInt32(NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0 {
                connection.events.append(.streamFailed(connection.id, StreamID(rawValue: stream)))
            }
            // The peer may open another in its stead.
            if unsafe ngtcp2_conn_is_local_stream(native, stream) == 0 {
                unsafe ngtcp2_conn_extend_max_streams_bidi(native, 1)
            }
            return 0
        }
    }

    @unsafe
    private static func from(_ owner: UnsafeMutableRawPointer?) -> QUICConnection? {
        // Safe: ngtcp2 was given the connection that owns it.
        unsafe owner.map { unsafe Unmanaged<QUICConnection>.fromOpaque($0).takeUnretainedValue() }
    }
}
