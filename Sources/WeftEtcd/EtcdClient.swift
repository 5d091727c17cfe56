// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Synchronization

/// An etcd, spoken to by the JSON gateway of its third version. Calls wait for the answer, and for one another; any thread may
/// make them.
public final class EtcdClient: Sendable {
    /// A key with its value. Bytes of a key that are no text are replaced by U+FFFD.
    public struct Item: Hashable, Sendable {
        public let key: String
        public let value: [UInt8]
    }

    /// What a watch tells.
    public enum Event: Hashable, Sendable {
        case put(Item)
        case delete(key: String)
    }

    /// Which etcd it is, and how far it has come.
    public struct Position: Hashable, Sendable {
        /// Of the cluster: another one's revisions mean nothing.
        public let cluster: UInt64
        public let revision: Int64
    }

    /// How long a call may take, in seconds.
    public static let patience = 3.0

    private let access: EtcdAccess
    private let transfer: Transfer
    private let token = Mutex<String?>(nil)

    public init(_ access: EtcdAccess) {
        self.access = access
        transfer = Transfer(access)
    }

    /// Ends the call that runs, and each that is begun afterwards.
    public func cancel() { transfer.cancel() }

    static func encoded(_ body: some Encodable) throws(EtcdError) -> [UInt8] {
        guard let data = try? JSONEncoder().encode(body) else { throw .malformed("a request that can't be written") }
        return [UInt8](data)
    }

    /// What etcd wants to see from a user; nil without one.
    func currentToken() throws(EtcdError) -> String? {
        guard let login = access.login else { return nil }
        if let known = token.withLock({ $0 }) { return known }
        let body = try Self.encoded(Wire.Authenticate(name: login.name, password: login.password))
        let answer = try exchange("auth/authenticate", body, nil, Self.patience)
        guard let fresh = (try? JSONDecoder().decode(Wire.Token.self, from: Data(answer)))?.token else {
            throw .malformed("auth/authenticate")
        }
        // It becomes a header's line.
        guard fresh.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .malformed("a token") }
        token.withLock { $0 = fresh }
        return fresh
    }

    /// The token has run out, as it does after some minutes without a call.
    func forgetToken() { token.withLock { $0 = nil } }

    private func call<Answer: Decodable>(
        _ path: String, _ body: some Encodable, _: Answer.Type, patience: Double = EtcdClient.patience
    ) throws(EtcdError) -> Answer {
        let bytes = try Self.encoded(body)
        let data: [UInt8]
        do throws(EtcdError) {
            data = try exchange(path, bytes, try currentToken(), patience)
        } catch {
            guard access.login != nil, case .refused(_, let words) = error, Wire.Refusal.isOfToken(words) else {
                throw error
            }
            forgetToken()
            data = try exchange(path, bytes, try currentToken(), patience)
        }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(data)) else { throw .malformed(path) }
        return answer
    }

    /// A body as long as it may be.
    private final class Body: Transfer.Receiver {
        var bytes: [UInt8] = []
        var isTooLong = false

        func take(_ part: Span<UInt8>, status: Int) -> Bool {
            guard bytes.count + part.count <= EtcdClient.answerLimit else {
                isTooLong = true
                return false
            }
            // SAFETY: the array copies what the span lends.
            unsafe part.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
            return true
        }
    }

    /// The longest answer that is taken, in bytes.
    static let answerLimit = 8 << 20

    private func exchange(
        _ path: String, _ bytes: [UInt8], _ token: String?, _ patience: Double
    ) throws(EtcdError) -> [UInt8] {
        let body = Body()
        let status: Int
        do throws(EtcdError) {
            status = try transfer.run(
                Transfer.Request(path: path, body: bytes, token: token, patience: patience), into: body)
        } catch {
            throw body.isTooLong ? .tooLong(path) : error
        }
        guard status == 200 else { throw Wire.Refusal.error(status, body.bytes) }
        return body.bytes
    }

    /// So many keys are asked for at a time.
    private static let pageSize = 1000

    /// All keys that begin with a prefix, as they were at one revision.
    /// - Returns: also the keys whose values are too long to be taken.
    public func items(
        under prefix: String
    ) throws(EtcdError) -> (items: [Item], tooLong: [String], position: Position) {
        var items: [Item] = []
        var tooLong: [String] = []
        var position: Position?
        var start = Array(prefix.utf8)
        let end = Wire.end(of: start)
        var size = Self.pageSize
        var restarts = 0
        while true {
            let request = Wire.Range(start, end, limit: size, revision: position?.revision)
            do throws(EtcdError) {
                let answer = try call("kv/range", request, Wire.RangeAnswer.self, patience: Self.patience * 3)
                if position == nil { position = answer.header?.position }
                guard position != nil else { throw .malformed("a range without a revision") }
                let pairs = answer.kvs ?? []
                items += pairs.map(\.item)
                guard answer.more == true, let last = pairs.last?.keyBytes else { break }
                start = last + [0]
                size = min(size * 2, Self.pageSize)
            } catch .tooLong(let what) {
                guard size == 1 else {
                    size = max(1, size / 8)
                    continue
                }
                // One value that nobody can take must not hide all behind it.
                let names = try call("kv/range", request.keysOnly(), Wire.RangeAnswer.self)
                guard let name = names.kvs?.first?.keyBytes else { throw .tooLong(what) }
                tooLong.append(String(decoding: name, as: UTF8.self))
                start = name + [0]
            } catch .outdated(let why) {
                // Compacted while we read: once more from the beginning, but not for ever.
                restarts += 1
                guard restarts < 5 else { throw .outdated(why) }
                (items, tooLong, position, start) = ([], [], nil, Array(prefix.utf8))
            }
        }
        guard let position else { throw .malformed("a range without a revision") }
        return (items, tooLong, position)
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
