// SPDX-License-Identifier: Apache-2.0
import Weft

/// Which of an identity's endpoints one is: two of them share neither connection ids nor reset tokens.
public struct EndpointPlace: Hashable, Sendable {
    /// The port of its file, whatever port its datagrams come from.
    public var port: UInt16
    /// The tunnel's name.
    public var name: String

    public init(port: UInt16 = 0, name: String = "") {
        self.port = port
        self.name = name
    }

    var bytes: [UInt8] { [UInt8(port >> 8), UInt8(port & 0xFF)] + Array(name.utf8) }
}
