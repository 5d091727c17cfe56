// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

extension FileTrust {
    /// Opens a file that is believed, for reading; the way to it is judged as well as itself.
    public func open(_ path: String) throws(FileRefusal) -> FileDescriptor {
        try PathWalk.open(path, self)
    }
}

/// Reads files whose size was looked at before.
public enum FileContents {
    /// Reads a file from its begin, whatever its descriptor's place is.
    ///
    /// - Parameters:
    ///   - bytes: as many as the file has; with more or fewer it has changed.
    ///   - path: how errors call it.
    public static func read(
        _ descriptor: Int32, into bytes: inout MutableSpan<UInt8>, called path: String
    ) throws(FileRefusal) {
        // The kernel writes at most the count that goes with each pointer.
        try unsafe bytes.withUnsafeMutableBytes { (whole: UnsafeMutableRawBufferPointer) throws(FileRefusal) in
            var count = 0
            while count < whole.count {
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: whole[count...])
                let got = unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(count))
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw .system(operation: "read", path: path, errno: errno) }
                guard got > 0 else { throw .changing(path: path) }
                count += got
            }
        }
        var more: UInt8 = 0
        guard unsafe pread(descriptor, &more, 1, off_t(bytes.count)) == 0 else { throw .changing(path: path) }
    }
}
