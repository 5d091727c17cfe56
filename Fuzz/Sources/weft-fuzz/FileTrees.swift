// SPDX-License-Identifier: Apache-2.0
import Glibc
import WeftConfig

/// A tunnel file on a disk, with the modes of itself and its folder, its size and a link to it drawn from the input's begin: it is taken
/// or refused with a reason, and never taken where others can write.
final class FileTrees {
    private let folder: String

    init() throws {
        folder = "/tmp/weft-fuzz-\(getpid())"
        guard unsafe mkdir(folder, 0o700) == 0 else { throw Failure() }
    }

    private struct Failure: Error {}

    func run(_ input: RawSpan) {
        let bytes = input.array()
        guard bytes.count >= 6 else { return }
        let inner = "\(folder)/inner"
        let path = "\(inner)/weft0.conf"
        let link = "\(folder)/link.conf"
        let mode = mode_t(bytes[0]) << 4 | mode_t(bytes[1] & 15)
        let folderMode = mode_t(bytes[2]) << 4 | mode_t(bytes[3] & 15)
        unsafe mkdir(inner, 0o700)
        defer {
            unsafe chmod(inner, 0o700)
            unsafe unlink(path)
            unsafe unlink(link)
        }
        write(Array(bytes[6...]), to: path)
        // Sparse, so that it costs nothing.
        if bytes[4] & 1 == 1 { unsafe truncate(path, off_t(bytes[5]) << off_t(bytes[4] >> 3)) }
        unsafe chmod(path, mode & 0o7777)
        unsafe chmod(inner, folderMode & 0o7777)
        let name = bytes[4] & 2 == 2 ? link : path
        if name == link { unsafe symlink(bytes[4] & 4 == 4 ? "inner/weft0.conf" : path, link) }
        do throws(TunnelFileError) {
            _ = try TunnelFile.load(path: name)
            check(mode & 0o022 == 0, "taken with mode \(String(mode, radix: 8))")
            check(
                folderMode & 0o022 == 0 || folderMode & 0o1000 != 0,
                "taken from a folder with mode \(String(folderMode, radix: 8))")
        } catch {
            check(!error.diagnostics.isEmpty, "refused without a reason")
        }
    }

    private func write(_ bytes: [UInt8], to path: String) {
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600 as mode_t)
        guard file >= 0 else { return }
        _ = unsafe Glibc.write(file, bytes, bytes.count)
        close(file)
    }

    static func seeds() -> [[UInt8]] {
        TunnelFiles.seeds().flatMap { text in
            [
                [0x18, 0, 0x1C, 0, 0, 0], [0x1B, 6, 0x1C, 0, 0, 0], [0x18, 0, 0x1F, 15, 2, 0],
                [0x18, 0, 0x3F, 15, 7, 9],
            ].map { $0 + text }
        }
    }
}
