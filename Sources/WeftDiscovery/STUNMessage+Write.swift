// SPDX-License-Identifier: Apache-2.0
import Weft

extension STUNMessage {
    /// A binding request, with a fingerprint: other protocols share our port.
    static func request(_ transaction: Transaction) -> [UInt8] {
        STUNWriter(.request, transaction).finished(fingerprint: true)
    }

    /// The answer to a binding request from `source`: how we saw it, or which attributes we would have had to know. Nil
    /// for what is no such request.
    ///
    /// It is 68 bytes at most, and 24 bytes longer than the request that it answers: nobody gains by having it sent
    /// elsewhere.
    static func answer(to request: STUNMessage, from source: Endpoint) -> [UInt8]? {
        guard request.kind == .request, request.method == binding else { return nil }
        var writer: STUNWriter
        if request.unknownAttributes.isEmpty {
            writer = STUNWriter(.success, request.transaction)
            writer.appendMappedAddress(source)
        } else {
            writer = STUNWriter(.failure, request.transaction)
            writer.appendUnknown(Array(request.unknownAttributes.prefix(4)))
        }
        return writer.finished(fingerprint: request.hasFingerprint)
    }
}

/// Builds a binding message.
struct STUNWriter {
    private var bytes: [UInt8] = []
    private let transaction: STUNMessage.Transaction

    init(_ kind: STUNMessage.Class, _ transaction: STUNMessage.Transaction) {
        self.transaction = transaction
        append(kind.rawValue | STUNMessage.binding)
        append(0 as UInt16)
        append(STUNHeader.cookie)
        append(transaction.high)
        append(transaction.low)
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    private mutating func appendHeader(_ type: UInt16, count: Int) {
        append(type)
        append(UInt16(truncatingIfNeeded: count))
    }

    mutating func appendMappedAddress(_ endpoint: Endpoint) {
        let isV4 = endpoint.address.family == .v4
        appendHeader(STUNMessage.Attribute.xorMappedAddress, count: isV4 ? 8 : 20)
        append(isV4 ? 1 : 2 as UInt16)
        append(endpoint.port ^ UInt16(STUNHeader.cookie >> 16))
        if isV4 {
            append(endpoint.address.v4Bits ^ STUNHeader.cookie)
        } else {
            append(endpoint.address.high ^ transaction.highMask)
            append(endpoint.address.low ^ transaction.low)
        }
    }

    /// Error 420, and what was not known (sections 6.3.1 and 14.9).
    mutating func appendUnknown(_ attributes: [UInt16]) {
        let reason = Array("Unknown".utf8) + [0x20]
        appendHeader(STUNMessage.Attribute.errorCode, count: 4 + reason.count)
        append(4 << 8 | 20 as UInt32)
        bytes += reason
        appendHeader(STUNMessage.Attribute.unknownAttributes, count: attributes.count * 2)
        for attribute in attributes { append(attribute) }
        if attributes.count % 2 == 1 { append(0 as UInt16) }
    }

    /// The whole message, with its length.
    func finished(fingerprint: Bool) -> [UInt8] {
        var whole = self
        whole.setLength(bytes.count - STUNHeader.length + (fingerprint ? 8 : 0))
        if fingerprint {
            let checksum = CRC32.checksum(whole.bytes) ^ STUNMessage.fingerprintMask
            whole.appendHeader(STUNMessage.Attribute.fingerprint, count: 4)
            whole.append(checksum)
        }
        return whole.bytes
    }

    private mutating func setLength(_ count: Int) {
        bytes[2] = UInt8(truncatingIfNeeded: count >> 8)
        bytes[3] = UInt8(truncatingIfNeeded: count)
    }
}
