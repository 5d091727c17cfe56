// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftConfig
import WeftControl
import WeftKeys
import WeftQUIC
import WeftUDP

/// Initiators that ask one responder, each with an identity, a session and a socket of its own; all in one thread.
final class Fleet {
    final class Member {
        let requester: KeyRequester
        let link: OwnPort
        let number: Int
        /// Addresses are never asked for twice.
        var asked: UInt32 = 0
        var held: [UInt32] = []
        /// What is under way: when it was asked for.
        var pending: [KeyRequester.RequestID: Instant] = [:]
        var deadline = Instant(nanoseconds: 0)

        init(
            _ number: Int, _ identity: borrowing Identity, _ configuration: KeyRequester.Configuration, wake: WakeEvent
        ) throws {
            self.number = number
            requester = KeyRequester(configuration, over: try QUICEndpoint(identity))
            link = try OwnPort(wake: wake)
        }

        func ask(at now: Instant) {
            asked += 1
            let address = IPAddress(v4: 0x0A00_0000 | UInt32(number) << 12 | asked & 0xFFF)
            pending[requester.request(address, at: now)] = now
            deadline = now
        }

        func release(at now: Instant) {
            guard !held.isEmpty else { return }
            requester.release(held.removeFirst(), at: now)
            deadline = now
        }
    }

    let members: [Member]
    private let wake: WakeEvent
    private(set) var failures: [KeyRequestError: Int] = [:]
    private(set) var lost = 0
    /// Seconds that each grant took, since they were taken last.
    private var times: [Double] = []

    init(_ identities: [SharedIdentity], _ configuration: KeyRequester.Configuration) throws {
        let wake = try WakeEvent()
        self.wake = wake
        members = try identities.enumerated().map { number, identity in
            let member = try identity.withIdentity { try Member(number, $0, configuration, wake: wake) }
            guard let member else { throw KeyRequestError.closed }
            return member
        }
    }

    func takeTimes() -> [Double] {
        defer { times = [] }
        return times.sorted()
    }

    /// Runs until `isDone`, which is asked in each round, or for `limit` seconds at most.
    /// - Parameter granted: called for each grant.
    func run(
        atMost limit: Double, until isDone: () -> Bool, _ granted: (Member, Instant) -> Void = { _, _ in }
    ) throws -> Bool {
        let end = SystemCall.now().advanced(by: .milliseconds(Int(limit * 1000)))
        while !isDone() {
            guard SystemCall.now() < end else { return false }
            var isIdle = true
            for member in members where try serve(member, granted) { isIdle = false }
            if isIdle { usleep(200) }
        }
        return true
    }

    /// One member's turn; whether there was anything to do.
    private func serve(_ member: Member, _ granted: (Member, Instant) -> Void) throws -> Bool {
        var arrived: [(bytes: [UInt8], source: AddressPair)] = []
        try member.link.receive(timeout: 0, wake: wake) { arrived.append(($0, $1)) }
        let now = SystemCall.now()
        guard !arrived.isEmpty || member.deadline <= now else { return false }
        for datagram in arrived { member.requester.receive(datagram.bytes.span, from: datagram.source, now: now) }
        member.requester.advance(to: now)
        while let event = member.requester.nextEvent() {
            switch event {
            case .granted(let request, let grant):
                member.held.append(grant.vni)
                if let asked = member.pending.removeValue(forKey: request) {
                    times.append(Double(now.nanoseconds - asked.nanoseconds) / 1e9)
                }
                granted(member, now)
            case .failed(let request, let error):
                member.pending[request] = nil
                failures[error, default: 0] += 1
            case .lost(let vnis): lost += vnis.count
            }
        }
        member.requester.advance(to: now)
        member.requester.flush(now: now) { datagram, target in
            member.link.send(unsafe datagram.bytes, to: target)
        }
        member.deadline = member.requester.nextDeadline
        return true
    }
}
