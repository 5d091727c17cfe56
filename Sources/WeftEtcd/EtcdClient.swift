// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationNetworking
import Synchronization

/// etcd's JSON gateway (API v3), over URLSession. Calls block their thread; any thread may make them.
public final class EtcdClient: Sendable {
    /// A key with its value.
    public struct Item: Hashable, Sendable {
        public let key: String
        public let value: [UInt8]
    }

    /// What a watch tells.
    public enum Event: Hashable, Sendable {
        case put(Item)
        case delete(key: String)
    }

    /// How long a call may take, in seconds.
    public static let patience = 3.0

    let base: URL
    private let session: URLSession

    /// - Parameter text: `http://HOST:PORT` or https, without a path.
    public init(_ text: String) throws(EtcdError) {
        guard let url = URL(string: text), let scheme = url.scheme, ["http", "https"].contains(scheme), url.host != nil,
            url.path.isEmpty || url.path == "/"
        else { throw .badURL(text) }
        base = url
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = Self.patience
        configuration.httpCookieStorage = nil
        configuration.urlCache = nil
        session = URLSession(configuration: configuration)
    }

    func request(_ path: String, _ body: some Encodable) throws(EtcdError) -> URLRequest {
        var request = URLRequest(url: base.appendingPathComponent("v3/\(path)"))
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        guard let data = try? JSONEncoder().encode(body) else { throw .malformed("a request that can't be written") }
        request.httpBody = data
        return request
    }

    private func call<Answer: Decodable>(_ path: String, _ body: some Encodable, _: Answer.Type) throws(EtcdError)
        -> Answer
    {
        let request = try request(path, body)
        let done = DispatchSemaphore(value: 0)
        let outcome = Mutex<Result<Data, EtcdError>>(.failure(.unreachable("no answer")))
        let task = session.dataTask(with: request) { data, response, error in
            outcome.withLock { $0 = Self.result(data, response, error) }
            done.signal()
        }
        task.resume()
        if done.wait(timeout: .now() + Self.patience + 1) == .timedOut { task.cancel() }
        let data = try outcome.withLock { outcome throws(EtcdError) in try outcome.get() }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: data) else { throw .malformed(path) }
        return answer
    }

    private static func result(_ data: Data?, _ response: URLResponse?, _ error: (any Error)?) -> Result<
        Data, EtcdError
    > {
        if let error { return .failure(.unreachable(error.localizedDescription)) }
        guard let response = response as? HTTPURLResponse, let data else { return .failure(.malformed("no response")) }
        guard response.statusCode == 200 else {
            let refusal = try? JSONDecoder().decode(Wire.Refusal.self, from: data)
            if refusal?.code == Wire.notFound { return .failure(.leaseLost) }
            return .failure(.refused(status: response.statusCode, refusal?.error ?? "no reason given"))
        }
        return .success(data)
    }

    /// All keys that begin with a prefix, and the revision at which they were read.
    public func items(under prefix: String) throws(EtcdError) -> (items: [Item], revision: Int64) {
        let answer = try call("kv/range", Wire.Range(prefix: prefix), Wire.RangeAnswer.self)
        guard let revision = answer.header.number else { throw .malformed("a range without a revision") }
        return (try (answer.kvs ?? []).map { pair throws(EtcdError) in try pair.item() }, revision)
    }

    /// Sets a key, which goes when the lease ends, if there is one.
    public func put(_ key: String, _ value: [UInt8], lease: Int64? = nil) throws(EtcdError) {
        _ = try call("kv/put", Wire.Put(key: key, value: value, lease: lease), Wire.Empty.self)
    }

    /// Deletes a key.
    public func delete(_ key: String) throws(EtcdError) {
        _ = try call("kv/deleterange", Wire.Delete(key: key), Wire.Empty.self)
    }

    /// A lease of so many seconds.
    public func grantLease(seconds: Int) throws(EtcdError) -> Int64 {
        let answer = try call("lease/grant", Wire.Grant(TTL: seconds), Wire.Lease.self)
        guard let number = answer.ID.flatMap({ Int64($0) }) else { throw .malformed("a lease without a number") }
        return number
    }

    /// Keeps a lease alive for its seconds once more.
    /// - Throws: `EtcdError.leaseLost` when it is gone.
    public func keepAlive(_ lease: Int64) throws(EtcdError) {
        let answer = try call("lease/keepalive", Wire.Lease(ID: "\(lease)", TTL: nil), Wire.KeepAliveAnswer.self)
        guard let seconds = answer.result?.TTL.flatMap({ Int($0) }), seconds > 0 else { throw .leaseLost }
    }

    /// Ends a lease, and with it what was put under it.
    public func revokeLease(_ lease: Int64) throws(EtcdError) {
        _ = try call("lease/revoke", Wire.Lease(ID: "\(lease)", TTL: nil), Wire.Empty.self)
    }
}
