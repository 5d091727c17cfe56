// SPDX-License-Identifier: Apache-2.0

/// What setting up can fail with. Packets never throw.
public enum EngineError: Error, Hashable, Sendable, CustomStringConvertible {
    case outOfMemory
    case noCipher(String)
    case invalidKey(String)
    case invalidVNI
    /// SAs of a network that has no VNI of its own name none.
    case noVNI(NetworkID)
    /// Another network opens what bears this VNI.
    case vniTaken(UInt32)
    case networkExists(NetworkID)
    case unknownNetwork(NetworkID)
    /// A route pair belongs to another network; nothing was changed.
    case routeTaken(Route, NetworkID)
    case mixedFamilies(Route)
    case zeroSPI
    /// Both directions were given the same key: counters would repeat under it.
    case equalKeys
    /// The SPI and key are those that we send with now: their counter would start over.
    case transmitKeyInUse(spi: UInt32)
    /// Manual keys: a network of this engine has used this SPI with this key before.
    case transmitKeyUsedBefore(spi: UInt32)
    case epochNotRising(new: UInt32, current: UInt32)
    case tooManyLanes(limit: Int)

    public var description: String {
        switch self {
        case .outOfMemory: "out of memory"
        case .noCipher(let why): "no cipher can be used: \(why)"
        case .invalidKey(let why): why
        case .invalidVNI: "a VNI is a number from 0 to 16777215"
        case .noVNI(let network): "\(network) has no VNI of its own: name those of its SAs"
        case .vniTaken(let vni):
            "VNI \(vni) is another network's: give one of their peers a VNI in the file, here and at its own end"
        case .networkExists(let network): "\(network) exists already; remove it first or update it"
        case .unknownNetwork(let network): "there is no such virtual network: \(network)"
        case .routeTaken(let route, let network): "the route \(route) belongs to \(network)"
        case .mixedFamilies(let route): "the route \(route) pairs an IPv4 with an IPv6 prefix"
        case .zeroSPI: "an SPI (or epoch) must not be 0"
        case .equalKeys: "the two directions need different keys"
        case .transmitKeyInUse(let spi): "SPI \(spi) with this key is sending now; its counter must not start over"
        case .transmitKeyUsedBefore(let spi):
            "SPI \(spi) has sent with this key before; choose a new key or a higher epoch"
        case .epochNotRising(let new, let current): "epoch \(new) is not above the current epoch \(current)"
        case .tooManyLanes(let limit): "the engine was made for \(limit) lanes; none is left"
        }
    }
}
