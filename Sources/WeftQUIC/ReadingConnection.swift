// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Which connection reads a datagram in this thread: ngtcp2's decryption callback isn't told.
enum ReadingConnection {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        unsafe pthread_key_create(&key, nil)
        return key
    }()

    static func during<Result>(_ connection: QUICConnection, _ body: () -> Result) -> Result {
        unsafe pthread_setspecific(key, Unmanaged.passUnretained(connection).toOpaque())
        defer { pthread_setspecific(key, nil) }
        return body()
    }

    static var current: QUICConnection? {
        guard let pointer = unsafe pthread_getspecific(key) else { return nil }
        // Safe: it is set only while the connection is being used.
        return unsafe Unmanaged<QUICConnection>.fromOpaque(pointer).takeUnretainedValue()
    }
}
