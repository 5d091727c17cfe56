// SPDX-License-Identifier: Apache-2.0
import Weft

/// Starts and ends control processes, one at a time.
public protocol ControlLauncher: AnyObject, Sendable {
    /// Readable (POLLIN) when ``nextEvent()`` has something to tell.
    var descriptor: Int32 { get }

    /// Asks for a control process that has `end` of the pair; ``LauncherEvent/started(process:)`` or
    /// ``LauncherEvent/ended(_:)`` follows.
    /// - Throws: when there is nobody left to ask.
    func start(with end: consuming FileDescriptor) throws(TransportError)

    /// Ends the control process whatever it does; ``LauncherEvent/ended(_:)`` follows.
    func kill()

    /// Ends everything and waits for that, a moment at most.
    func close()

    /// What happened next, without waiting; nil where nothing did.
    /// - Throws: when there is nobody left to tell.
    func nextEvent() throws(TransportError) -> LauncherEvent?
}

/// What became of a control process.
public enum LauncherEvent: Hashable, Sendable {
    case started(process: Int32)
    /// It is gone, in words for people.
    case ended(String)
}
