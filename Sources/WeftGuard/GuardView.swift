// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// How the host routes at present, as far as a guard has to know.
public struct GuardView: Hashable, Sendable {
    /// The destinations in table main that lead somewhere.
    public var main: Set<Prefix>
    /// The rules that the kernel tries before the tunnel's own.
    public var earlier: [KernelRule]
    /// The destinations in the tables of those rules that lead somewhere.
    public var tables: [UInt32: Set<Prefix>]

    public init(main: Set<Prefix> = [], earlier: [KernelRule] = [], tables: [UInt32: Set<Prefix>] = [:]) {
        self.main = main
        self.earlier = earlier
        self.tables = tables
    }
}
