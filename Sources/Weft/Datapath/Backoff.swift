// SPDX-License-Identifier: Apache-2.0

/// What a pump does when a transport's read fails: it waits a little longer each time, and gives up after 16 failures
/// in a row, rather than spin.
struct Backoff {
    static let limit = 16
    /// Milliseconds.
    private static let step: Int32 = 10
    private static let longest: Int32 = 1000

    private(set) var failures = 0

    mutating func succeeded() { failures = 0 }

    /// Milliseconds to wait after the failures so far.
    var delay: Int32 { min(Int32(failures) * Self.step, Self.longest) }

    /// Waits, or returns at once when the data path is being closed.
    /// - Throws: the error, when it is one too many.
    mutating func failed(_ error: TransportError, _ wake: WakeEvent) throws(DatapathError) {
        failures += 1
        guard failures < Self.limit else { throw .transport(error) }
        do throws(TransportError) {
            _ = try wake.wait(for: -1, events: 0, timeout: delay)
        } catch {
            throw .transport(error)
        }
    }
}
