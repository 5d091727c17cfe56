// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationNetworking
import Synchronization

/// A watch: what changes under a prefix, as it changes.
public final class EtcdWatch: NSObject, URLSessionDataDelegate, Sendable {
    private struct State {
        var stream = WatchStream()
        var status = 200
        var failure: EtcdError?
        var task: URLSessionDataTask?
        var isCancelled = false
    }

    private let state = Mutex(State())
    private let done = DispatchSemaphore(value: 0)
    private let changed: @Sendable ([EtcdClient.Event], Int64) -> Void

    /// - Parameter changed: called with what changed and the revision that it brought about, in order, on a thread of URLSession's.
    public init(_ changed: @escaping @Sendable (_ events: [EtcdClient.Event], _ revision: Int64) -> Void) {
        self.changed = changed
    }

    /// Watches until the connection breaks, etcd ends the watch or ``cancel()`` is called.
    /// - Throws: why it ended: `EtcdError.compacted` when the revisions from `revision` on are gone.
    public func run(_ client: EtcdClient, prefix: String, from revision: Int64) throws(EtcdError) {
        let configuration = URLSessionConfiguration.ephemeral
        // There may be nothing to tell for days.
        configuration.timeoutIntervalForRequest = 7 * 86_400
        configuration.timeoutIntervalForResource = 365 * 86_400
        let session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
        defer { session.invalidateAndCancel() }
        var request = try client.request("watch", Wire.Watch(prefix: prefix, from: revision))
        request.timeoutInterval = 7 * 86_400
        let task = session.dataTask(with: request)
        let isCancelled = state.withLock { state in
            state.task = task
            return state.isCancelled
        }
        if isCancelled { throw .unreachable("cancelled") }
        task.resume()
        done.wait()
        throw state.withLock { $0.failure } ?? .unreachable("the connection was closed")
    }

    /// Ends ``run(_:prefix:from:)``; from any thread.
    public func cancel() {
        state.withLock { state in
            state.isCancelled = true
            state.task?.cancel()
        }
    }

    public func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        state.withLock { $0.status = (response as? HTTPURLResponse)?.statusCode ?? 0 }
        completionHandler(.allow)
    }

    public func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let batches = state.withLock { state -> [WatchStream.Batch] in
            guard state.failure == nil else { return [] }
            do throws(EtcdError) {
                return try state.stream.take(data)
            } catch {
                state.failure = error
                state.task?.cancel()
                return []
            }
        }
        for batch in batches { changed(batch.events, batch.revision) }
    }

    public func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        state.withLock { state in
            guard state.failure == nil else { return }
            if state.status != 200 {
                state.failure = .refused(status: state.status, "the watch")
            } else if let error {
                state.failure = .unreachable(error.localizedDescription)
            }
        }
        done.signal()
    }
}
