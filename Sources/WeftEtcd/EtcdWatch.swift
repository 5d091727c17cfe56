// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A watch: what changes under a prefix, as it changes.
public final class EtcdWatch: Sendable {
    private let transfer: Transfer
    private let changed: @Sendable ([EtcdClient.Event], Int64) -> Void

    /// - Parameter changed: called with what changed and the revision that it brought about, in order, on the thread of
    ///   ``run(_:prefix:after:)``.
    public init(
        _ access: EtcdAccess, _ changed: @escaping @Sendable (_ events: [EtcdClient.Event], _ revision: Int64) -> Void
    ) {
        transfer = Transfer(access)
        self.changed = changed
    }

    private final class Lines: Transfer.Receiver {
        private var stream: WatchStream
        private let changed: @Sendable ([EtcdClient.Event], Int64) -> Void
        private(set) var failure: EtcdError?
        /// What an answer that is no watch says.
        private(set) var words: [UInt8] = []

        init(_ stream: WatchStream, _ changed: @escaping @Sendable ([EtcdClient.Event], Int64) -> Void) {
            self.stream = stream
            self.changed = changed
        }

        func take(_ bytes: Span<UInt8>, status: Int) -> Bool {
            // SAFETY: the array copies what the span lends.
            let piece = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
            guard status == 200 else {
                words += piece.prefix(4096 - min(4096, words.count))
                return true
            }
            do throws(EtcdError) {
                for batch in try stream.take(piece) { changed(batch.events, batch.revision) }
                return true
            } catch {
                failure = error
                return false
            }
        }
    }

    /// Watches until the connection breaks, etcd ends the watch or ``cancel()`` is called.
    /// - Parameter position: where a read of everything left off.
    /// - Throws: why it ended: `EtcdError.outdated` when everything has to be read again.
    public func run(_ client: EtcdClient, prefix: String, after position: EtcdClient.Position) throws(EtcdError) {
        let body = try EtcdClient.encoded(Wire.Watch(prefix: prefix, from: position.revision + 1))
        let lines = Lines(WatchStream(after: position), changed)
        let token = try client.currentToken()
        do throws(EtcdError) {
            let status = try transfer.run(Transfer.Request(path: "watch", body: body, token: token), into: lines)
            guard status == 200 else { throw Wire.Refusal.error(status, lines.words) }
        } catch {
            let cause = lines.failure ?? error
            if case .refused = cause { client.forgetToken() }
            throw cause
        }
        throw lines.failure ?? .unreachable("the connection was closed")
    }

    /// Ends ``run(_:prefix:after:)``; from any thread.
    public func cancel() { transfer.cancel() }
}
