// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Weft

/// How long packets the devices take that lead to addresses. What routers told the kernel by ICMP, which anybody can forge, doesn't count.
public final class DeviceWays: Sendable {
    private let mark: UInt32
    private let netlink: Mutex<Netlink>

    /// - Parameter mark: of the packets, by which they are routed; 0 for none.
    public init(mark: UInt32) throws(LinkError) {
        self.mark = mark
        netlink = Mutex(try Netlink())
    }

    /// As ``init(mark:)``, for data paths.
    public static func open(mark: UInt32) throws(DatapathError) -> DeviceWays {
        do throws(LinkError) { return try DeviceWays(mark: mark) } catch { throw .setup(error.description) }
    }

    /// Bytes of the longest IP packet that goes whole to an address; nil where nothing leads there.
    public func mtu(to address: IPAddress) -> Int? {
        netlink.withLock { netlink in
            guard let device = (try? netlink.path(to: address, mark: mark))?.device,
                let name = try? netlink.interfaceName(of: device)
            else { return nil }
            return (try? netlink.linkStatus(of: name))?.mtu
        }
    }
}
