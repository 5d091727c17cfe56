// SPDX-License-Identifier: Apache-2.0

/// What a message is made of: a type, a length in 16 bits, and values.
protocol WireRecord: Sendable {
    static func read(_ type: UInt8, _ reader: inout WireReader) throws(WireError) -> Self
    var type: UInt8 { get }
    func write(to writer: inout WireWriter)
}

extension WireRecord {
    /// Bytes before a record's values.
    static var headerByteCount: Int { 3 }

    /// Reads the record at `offset` of a message and moves on to the next; nil at the end.
    static func next(in message: RawSpan, at offset: inout Int) throws(WireError) -> Self? {
        guard offset < message.byteCount else { return nil }
        var header = WireReader(message.extracting(offset..<message.byteCount))
        let type: UInt8 = try header.number()
        let count = Int(try header.number(UInt16.self))
        var reader = WireReader(try header.span(count))
        let record = try read(type, &reader)
        guard reader.left == 0 else { throw .trailing }
        offset += headerByteCount + count
        return record
    }

    /// Writes the record to the beginning of `bytes`; how many bytes it took, or nil where it doesn't fit.
    func write(into bytes: consuming MutableRawSpan) -> Int? {
        guard bytes.byteCount > Self.headerByteCount else { return nil }
        let room = min(bytes.byteCount - Self.headerByteCount, Int(UInt16.max))
        let count: Int
        do {
            var writer = WireWriter(bytes._mutatingExtracting(Self.headerByteCount..<Self.headerByteCount + room))
            write(to: &writer)
            guard !writer.hasOverflown else { return nil }
            count = writer.count
        }
        bytes.storeBytes(of: type, toByteOffset: 0, as: UInt8.self)
        bytes.storeBytes(of: UInt16(count).littleEndian, toByteOffset: 1, as: UInt16.self)
        return Self.headerByteCount + count
    }
}
