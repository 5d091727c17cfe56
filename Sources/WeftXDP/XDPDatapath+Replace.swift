// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftLink

extension XDPDatapath {
    /// How often it is tried: what somebody removes may take a moment to go.
    private static let tries = 5

    /// Somebody removed the virtual pair: makes it anew, with all that was configured on it. Sessions and keys stay, and queues
    /// bind to the new one within half a second.
    ///
    /// From one thread at a time, while it runs.
    /// - Throws: ``DatapathError/setup(_:)`` where that can't be; then there is no pair.
    public func replacePair() throws(DatapathError) {
        overlayLink.set(nil)
        overlayProgram.withLock { $0 = nil }
        pair.withLock { $0 = nil }
        var number = 1
        while true {
            do throws(DatapathError) {
                return try makePairAnew()
            } catch {
                if number == Self.tries { throw error }
            }
            number += 1
            usleep(50_000)
        }
    }

    /// Has both ends take inner packets of so many bytes from now on, under traffic.
    public func setMTU(_ mtu: Int) throws(DatapathError) {
        do throws(LinkError) {
            var netlink = try Netlink()
            // The end that receives refuses what is longer than its own.
            if let peer = overlayLink.current.interface { try netlink.setUp(peer, mtu: mtu) }
            try host.setMTU(mtu)
        } catch {
            throw .setup(error.description)
        }
    }

    private func makePairAnew() throws(DatapathError) {
        let made = try Self.makePair(presentPair)
        let attachment = try program.attach(.overlay, to: made.peer, name: made.peerName, nil)
        do throws(LinkError) {
            try host.move(to: made.interface)
        } catch {
            throw .setup(error.description)
        }
        do throws(TransportError) { try writer.move(to: made.peer) } catch { throw .transport(error) }
        made.speedUp(links)
        overlayProgram.withLock { $0 = attachment }
        overlayLink.set(made.peer)
        var present: OverlayPair? = consume made
        pair.withLock { swap(&$0, &present) }
    }
}
