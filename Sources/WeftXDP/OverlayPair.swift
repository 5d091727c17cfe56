// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftLink

/// Owns the virtual Ethernet pair between the host's stack and the overlay's sockets; it goes when its owner goes.
struct OverlayPair: ~Copyable, Sendable {
    /// By which a pair is known that a killed process left behind.
    static let alias = "weft xdp"

    /// The host's end, which bears addresses and routes.
    let interface: Int32
    /// The end with the program and the sockets.
    let peer: Int32
    let peerName: String
    private let name: String

    /// The name of the sockets' end.
    ///
    /// Names that share their first letters have ones that differ: a long one is cut, and its sum (FNV-1a) stands for the rest.
    static func peerName(of name: String) -> String {
        if name.utf8.count <= 13 { return "\(name)-x" }
        let sum = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(sum, radix: 36).suffix(6)
        return "\(name.prefix(12 - digits.count))-\(digits)-x"
    }

    /// Makes the pair, and sees that packets leave it whole and with their checksums. The host's end stays down until
    /// somebody configures it: a packet that nobody takes yet would be missed.
    /// - Parameter pair: its `peerName` is ``peerName(of:)``.
    init(_ pair: VirtualPair) throws(LinkError) {
        (interface, peer) = try Self.make(pair)
        name = pair.name
        peerName = pair.peerName
    }

    private static func make(_ pair: VirtualPair) throws(LinkError) -> (interface: Int32, peer: Int32) {
        var netlink = try Netlink()
        do throws(LinkError) {
            try netlink.makePair(pair, alias: Self.alias)
        } catch .refused(_, EEXIST) {
            throw .unusablePlan("an interface \(pair.name) or \(pair.peerName) is there already; is the tunnel up?")
        }
        let interface = try netlink.interfaceIndex(of: pair.name)
        do throws(LinkError) {
            let peer = try netlink.interfaceIndex(of: pair.peerName)
            for (name, index) in [(pair.name, interface), (pair.peerName, peer)] {
                // A frame that reaches a socket is all there is: nobody will cut it or finish its checksum. What the
                // host's end merges of finished frames, and cuts before it sends them, is the host's own affair.
                for offload in [WEFT_ETHTOOL_TX_CHECKSUM, WEFT_ETHTOOL_TSO] {
                    guard unsafe weft_set_offload(name, offload, 0) == 0 else {
                        throw .refused(operation: "turn offloads of \(name) off", errorNumber: errno)
                    }
                }
                // A host without IPv6 refuses, and has no such address.
                try? netlink.makeNoLinkLocalAddress(index)
            }
            try netlink.setUp(peer)
            return (interface, peer)
        } catch {
            try? netlink.removeLink(interface)
            throw error
        }
    }

    /// Lets the host take in what we send it in larger pieces. To be called once the host's end is up.
    /// - Parameter links: what `weft_open_links` gave.
    func speedUp(_ links: borrowing FileDescriptor) {
        // What we send to the host would be taken in packet by packet, within our own calls; a thread of the kernel's
        // takes what has gathered, and merges it. Only faster, so a refusal does no harm.
        _ = unsafe weft_set_offload(name, WEFT_ETHTOOL_GRO, 1)
        _ = unsafe weft_write_link_setting(links.raw, name, "threaded", "1")
    }

    deinit {
        guard var netlink = try? Netlink() else { return }
        try? netlink.removeLink(interface)
        // Either end takes the other with it, but somebody may have moved the host's end into another network namespace.
        try? netlink.removeLink(peer)
    }

    /// Removes the pair that a killed process left behind under this name. Anybody else's interface stays, and so does
    /// the pair of a process that runs: its program is attached.
    /// - Returns: whether there was one.
    @discardableResult
    static func removeLeftover(_ name: String) -> Bool {
        guard var netlink = try? Netlink(), let link = try? netlink.linkStatus(of: name), link.kind == "veth",
            link.alias == alias, let peer = try? netlink.settledLinkStatus(of: peerName(of: name)), !peer.hasXDP
        else { return false }
        return (try? netlink.removeLink(link.index)) != nil
    }
}
