// SPDX-License-Identifier: Apache-2.0

/// Why a stream holds no control frame.
public enum ControlFrameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A payload of this many bytes, of which ``ControlFrame/maximumPayloadByteCount`` are allowed.
    case tooLarge(Int)
    /// The stream ended after this many bytes of a frame, its length included.
    case truncated(Int)

    public var description: String {
        switch self {
        case .tooLarge(let count):
            "a control frame of \(count) bytes is too large (at most \(ControlFrame.maximumPayloadByteCount)): "
                + "check that the peer speaks this protocol"
        case .truncated(let count):
            "the control stream ended \(count) bytes into a frame: try the exchange again"
        }
    }
}
