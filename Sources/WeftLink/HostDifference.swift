// SPDX-License-Identifier: Apache-2.0
import Weft

/// What is not as a tunnel wants it.
public enum HostDifference: Hashable, Sendable {
    /// The interface is no longer there: nothing else can be said.
    case gone
    /// The interface bears another name.
    case renamed(String)
    case down
    /// The interface isn't among tunnels' ones.
    case group
    /// The interface has another MTU, in bytes.
    case mtu(Int)
    case address(InterfaceAddress)
    case route(WantedRoute)
    case rule(Rule)
    /// A setting below /proc/sys has another value.
    case setting(HostSetting)
    /// The nftables table is not what it was.
    case guardTable(String)

    /// What it belongs to, in one word that stays: people and programs count by it.
    public var kind: String {
        switch self {
        case .gone, .renamed, .down, .group, .mtu: "interface"
        case .address: "addresses"
        case .route: "routes"
        case .rule: "rules"
        case .setting: "settings"
        case .guardTable: "nftables"
        }
    }
}

extension HostDifference: CustomStringConvertible {
    public var description: String {
        switch self {
        case .gone: "the interface is gone"
        case .renamed(let name): "the interface is now called \(name)"
        case .down: "the interface is down"
        case .group: "the interface isn't in group \(InterfaceGroup.tunnels)"
        case .mtu(let mtu): "the interface has MTU \(mtu)"
        case .address(let address): "address \(address) is missing"
        case .route(let route): "route \(route) is missing"
        case .rule(let rule): "rule \(rule) is missing"
        case .setting(let setting): "\(setting.name) is not \(setting.value)"
        case .guardTable(let name): "nftables table \(name) is changed or missing"
        }
    }
}

/// One of the kernel's settings for networks, by its path below /proc/sys.
public struct HostSetting: Hashable, Sendable {
    /// With slashes: an interface's name may have a dot in it.
    public let path: String
    public let value: String

    public init(_ path: String, _ value: String) {
        self.path = path
        self.value = value
    }

    /// As sysctl(8) names it.
    public var name: String {
        path.map { $0 == "/" ? "." : $0 == "." ? "/" : String($0) }.joined()
    }
}
