// SPDX-License-Identifier: Apache-2.0
import Weft

/// A network namespace other than the calling thread's, which somebody in there opens sockets of.
public protocol LinkNamespace: AnyObject, Sendable {
    /// An rtnetlink socket of it, bound.
    func netlinkSocket() throws(LinkError) -> FileDescriptor

    /// What its kernel has at a path below /proc/sys, up to the first blank; nil where there is no such setting.
    func setting(at path: String) -> String?
}
