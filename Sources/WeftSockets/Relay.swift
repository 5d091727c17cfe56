// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// Joins two connections until both ends have finished sending.
public enum Relay {
    /// Carries bytes both ways. An end that finishes finishes the other's direction alone (half-close); one that breaks resets both.
    /// Both are closed when this returns.
    public static func join(_ one: any OverlayStream, _ other: any OverlayStream) async {
        let isWhole = await withTaskGroup(of: Bool.self) { group in
            group.addTask { await carry(from: one, to: other) }
            group.addTask { await carry(from: other, to: one) }
            var isWhole = true
            for await finished in group where !finished {
                isWhole = false
                one.abort()
                other.abort()
            }
            return isWhole
        }
        if isWhole {
            one.close()
            other.close()
        }
    }

    /// Whether the one finished, rather than broke.
    private static func carry(from: any OverlayStream, to: any OverlayStream) async -> Bool {
        do throws(OverlaySocketError) {
            if let from = from as? KernelStream, let to = to as? KernelStream {
                try await splice(from.socket, to.socket)
            } else {
                while true {
                    let bytes = try await from.read()
                    if bytes.isEmpty { break }
                    try await to.write(bytes)
                }
            }
            try to.finish()
            return true
        } catch {
            return false
        }
    }

    /// Between two sockets of the kernel's the bytes stay there: they go by a pipe, which holds references to their pages.
    private static func splice(_ from: KernelSocket, _ to: KernelSocket) async throws(OverlaySocketError) {
        var ends: [Int32] = [-1, -1]
        guard unsafe weft_pipe(&ends) == 0 else { throw OverlaySocketError(code: errno) }
        let (reading, writing) = (
            SharedDescriptor(FileDescriptor(owning: ends[0])), SharedDescriptor(FileDescriptor(owning: ends[1]))
        )
        let (out, into) = (reading.raw, writing.raw)
        defer {
            reading.close()
            writing.close()
        }
        while true {
            var left = try await from.repeating(.reading) { weft_splice(from.raw, into, 1 << 20) }
            guard left > 0 else { break }
            while left > 0 {
                let most = left
                left -= try await to.repeating(.writing) { weft_splice(out, to.raw, most) }
            }
        }
    }
}
