// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft
import WeftCommand
import WeftConfig
import WeftControl

/// Leaves a port that a router's translation has gone wrong for: an entry that was made too early, or for what the router was before
/// it rebooted, lives for as long as our own calls keep it alive.
///
/// Only where nobody counts on the port: the file names none, and all peers are called by us.
final class PortMover: Sendable {
    private let datapath: any TunnelDatapath
    private let log: Log
    private let wait = Mutex(CallsInVain())

    /// When calls have come to nothing for long enough.
    struct CallsInVain {
        private var since: Instant?
        private var patience = Self.shortest

        private static let shortest = Duration.seconds(20)
        private static let longest = Duration.seconds(300)

        /// Whether another port is to be tried now; the next one takes twice as long.
        /// - Parameters:
        ///   - isReached: whether any peer is.
        ///   - isCalling: whether any is called.
        mutating func judge(isReached: Bool, isCalling: Bool, at now: Instant) -> Bool {
            guard isCalling, !isReached else {
                since = nil
                if isReached { patience = Self.shortest }
                return false
            }
            guard let begin = since else {
                since = now
                return false
            }
            guard now >= begin.advanced(by: patience) else { return false }
            since = now
            patience = min(patience * 2, Self.longest)
            return true
        }
    }

    /// Nil where the port stays.
    init?(_ file: TunnelConfiguration, _ datapath: any TunnelDatapath, _ log: Log) {
        guard file.interface.lines[.listenPort] == file.interface.lines.header, file.initiators.isEmpty,
            file.peers.allSatisfy({ $0.publicKey != nil && ($0.endpoint != nil || $0.endpointName != nil) })
        else { return nil }
        self.datapath = datapath
        self.log = log
    }

    /// Looks how peers are doing, about once a second.
    func look(at states: [ControlPeerStatus.State], _ now: Instant) {
        let reached = states.contains { $0 == .connected || $0 == .agreeing }
        let calling = states.contains { $0 == .dialing || $0 == .waiting }
        guard wait.withLock({ $0.judge(isReached: reached, isCalling: calling, at: now) }) else { return }
        do throws(DatapathError) {
            guard let port = try datapath.changePort() else { return }
            log.info(
                "nobody answers calls from the port so far: going on at UDP port \(port); a ListenPort in the file would stay"
            )
        } catch {
            log.warning("nobody answers calls from the port so far, and there is no other: \(error)")
        }
    }
}
