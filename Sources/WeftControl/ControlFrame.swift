// SPDX-License-Identifier: Apache-2.0

/// The framing of control messages on a stream: a length of two bytes in network order, then the payload.
public enum ControlFrame {
    /// The most bytes that a payload may have.
    public static let maximumPayloadByteCount = 4096
    static let headerByteCount = 2

    /// The frame around a payload. Throws ``ControlFrameError/tooLarge(_:)``.
    public static func encode(_ payload: [UInt8]) throws(ControlFrameError) -> [UInt8] {
        guard payload.count <= maximumPayloadByteCount else { throw .tooLarge(payload.count) }
        return bigEndian(UInt16(payload.count)) + payload
    }
}
