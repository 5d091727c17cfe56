// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftLink

/// A network namespace other than the calling thread's, in which TUN devices can be made.
public protocol TUNNamespace: LinkNamespace {
    /// Makes an interface.
    /// - Parameters:
    ///   - count: of its queues, 1...64.
    ///   - flags: TUNSETIFF's, with IFF_VNET_HDR.
    /// - Returns: its queues; reads and writes of them never wait.
    func openQueues(_ count: Int, name: String, flags: Int32) throws(DatapathError) -> [SharedDescriptor]
}
