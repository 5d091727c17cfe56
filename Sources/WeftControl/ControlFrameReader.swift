// SPDX-License-Identifier: Apache-2.0

/// Takes one direction of one exchange's stream, in pieces of any size, and finds the one frame in it.
///
/// Whatever follows the frame is taken and forgotten, since a stream must be drained to give its credit back. It holds
/// at most the frame's own bytes.
public struct ControlFrameReader: Sendable {
    private var frame: [UInt8] = []
    private var isComplete = false
    private var failure: ControlFrameError?

    public init() {}

    /// Takes the stream's next bytes; returns the frame's payload, once, when its last byte has arrived.
    ///
    /// Throws ``ControlFrameError/tooLarge(_:)`` as soon as the length says so, and from then on always.
    public mutating func receive(_ bytes: Span<UInt8>) throws(ControlFrameError) -> [UInt8]? {
        if let failure { throw failure }
        for index in bytes.indices where !isComplete {
            frame.append(bytes[index])
            guard frame.count >= ControlFrame.headerByteCount else { continue }
            let payloadCount = Int(frame.span.bigEndian(UInt16.self, at: 0))
            guard payloadCount <= ControlFrame.maximumPayloadByteCount else {
                failure = .tooLarge(payloadCount)
                throw .tooLarge(payloadCount)
            }
            if frame.count == ControlFrame.headerByteCount + payloadCount {
                isComplete = true
                return Array(frame.dropFirst(ControlFrame.headerByteCount))
            }
        }
        return nil
    }

    /// Takes and forgets all that follows: the stream was given up, and what is on its way still comes.
    public mutating func drain() {
        frame = []
        isComplete = true
        failure = nil
    }

    /// The peer ended the stream. Throws ``ControlFrameError/truncated(_:)`` if the frame isn't complete.
    public func end() throws(ControlFrameError) {
        if let failure { throw failure }
        guard isComplete else { throw .truncated(frame.count) }
    }
}
