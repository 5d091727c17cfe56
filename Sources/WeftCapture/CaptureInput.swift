// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// A file's bytes, in order, through a buffer.
struct CaptureInput: ~Copyable {
    private let descriptor: FileDescriptor
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false

    /// More than any frame or block of a sane file: a length beyond it is damage.
    static let limit = 16 << 20
    private static let portion = 256 << 10

    init(path: String) throws(CaptureFile.Failure) {
        let raw = path == "-" ? dup(STDIN_FILENO) : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { throw CaptureFile.Failure(description: SystemCall.message(errno)) }
        descriptor = FileDescriptor(owning: raw)
    }

    /// So many bytes; nil at the end.
    /// - Throws: where the file ends amid them.
    mutating func read(_ count: Int) throws(CaptureFile.Failure) -> [UInt8]? {
        guard (0...Self.limit).contains(count) else {
            throw CaptureFile.Failure(description: "it is damaged: a frame or block of \(count) bytes")
        }
        while buffer.count - position < count, !isAtEnd { try fill() }
        let there = buffer.count - position
        guard there >= count else {
            if there == 0 { return nil }
            throw CaptureFile.Failure(description: "it is cut off amid a frame")
        }
        defer { position += count }
        return Array(buffer[position..<position + count])
    }

    /// As ``read(_:)``, where the file may not end.
    mutating func need(_ count: Int) throws(CaptureFile.Failure) -> [UInt8] {
        guard let bytes = try read(count) else { throw CaptureFile.Failure(description: "it is cut off amid a frame") }
        return bytes
    }

    private mutating func fill() throws(CaptureFile.Failure) {
        buffer.removeFirst(position)
        position = 0
        var chunk = [UInt8](repeating: 0, count: Self.portion)
        // SAFETY: the kernel writes at most the count that goes with the pointer.
        let got = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor.raw, $0.baseAddress, $0.count) }
        if got < 0, errno == EINTR { return }
        guard got >= 0 else { throw CaptureFile.Failure(description: SystemCall.message(errno)) }
        isAtEnd = got == 0
        buffer += chunk.prefix(got)
    }
}
