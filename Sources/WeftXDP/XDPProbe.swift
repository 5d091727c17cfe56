// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftLink

/// Finds out what AF_XDP can do for an underlay, without leaving anything behind.
public enum XDPProbe {
    public enum Result: Hashable, Sendable {
        /// The interface of this name fills and empties frames by itself.
        case zeroCopy(String)
        /// The kernel would copy each packet.
        case copyOnly(String)
        /// AF_XDP can't be used; the text completes "since ...".
        case unavailable(String)
    }

    /// Receive queues of the underlay's interface, each of which gets a thread; the most there can be where that can't be
    /// told now.
    public static func queues(underlay: String?, endpoints: [IPAddress]) -> Int {
        guard let name = try? underlay ?? UnderlayMonitor.interface(to: endpoints, mark: 0) else {
            return XDPDatapath.mostQueues
        }
        return min(Int(unsafe weft_receive_queues(name)), XDPDatapath.mostQueues)
    }

    /// Binds to a queue of the interface that leads to all endpoints, for a moment.
    /// - Parameter underlay: the interface; nil to look for it.
    public static func run(underlay: String?, endpoints: [IPAddress]) -> Result {
        do throws(DatapathError) {
            let name: String
            if let underlay { name = underlay } else { name = try UnderlayMonitor.interface(to: endpoints, mark: 0) }
            let link: LinkStatus
            do throws(LinkError) {
                var netlink = try Netlink()
                link = try netlink.linkStatus(of: name)
            } catch {
                throw .setup(error.description)
            }
            guard link.mac != nil else { return .unavailable("\(name) is no Ethernet interface") }
            guard !link.hasXDP else { return .unavailable("\(name) has an XDP program of somebody else's") }
            _ = weft_unlimit_locked_memory()
            do throws(TransportError) {
                var options = XDPOptions()
                options.ringSize = 64
                let pool = try FramePool(count: 64, frameSize: 2048)
                let socket = try XDPSocket(.underlay, interface: link.index, queue: 0, pool: pool, options)
                return socket.copying == .zeroCopy ? .zeroCopy(name) : .copyOnly(name)
            } catch {
                return .unavailable(error.description)
            }
        } catch {
            return .unavailable(error.description)
        }
    }
}

extension XDPDatapath {
    /// Removes the overlay's interface that a killed process left behind under this name, but nobody else's.
    /// - Returns: whether there was one.
    @discardableResult
    public static func removeLeftover(_ name: String) -> Bool { OverlayPair.removeLeftover(name) }
}
