// SPDX-License-Identifier: Apache-2.0

/// Moves packets between an overlay and an underlay through an engine, until it is closed.
public protocol Datapath: AnyObject, Sendable {
    /// Runs until ``close()``, on the calling thread and on threads of its own; returns once all of them have ended and
    /// what the data path made is gone. A clean stop is no error.
    ///
    /// It runs only once.
    func run() throws(DatapathError)

    /// Makes ``run()`` return within a second, whatever it is blocked in. From any thread, any number of times; also
    /// before ``run()``, which then returns at once.
    func close()
}
