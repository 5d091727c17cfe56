// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

#if canImport(CWeftIPSecMB)
    import CWeftIPSecMB
#endif

/// Memory for keys: locked against swapping and left out of core dumps, wiped when a key goes.
///
/// Keys stand in cells of whole cache lines within pages of their own, since locking works on pages: a page for each
/// key would exhaust the limit on locked memory with a few thousand networks.
@safe
final class KeyPool: Sendable {
    static let shared = KeyPool()

    /// What ipsec-mb expands a key into, in whole cache lines: 1,008 bytes in version 1, more in version 2. The raw key stands behind it.
    static var expandedSize: Int {
        #if canImport(CWeftIPSecMB)
            (MemoryLayout<gcm_key_data>.size + alignment - 1) & ~(alignment - 1)
        #else
            0
        #endif
    }
    static var cellSize: Int { expandedSize + 2 * alignment }
    private static var cellsPerChunk: Int { chunkSize / cellSize }
    private static let chunkSize = 64 * 1024
    /// Cells begin on cache lines, as ipsec-mb wants its keys.
    private static let alignment = 64

    private struct State {
        var free: [UInt] = []
        var serial: UInt64 = 0
    }

    private let state = Mutex(State())

    /// A zeroed cell and a number that no other cell had before. Nil when the system has no memory.
    func allocate() -> (cell: UnsafeMutableRawPointer, serial: UInt64)? {
        unsafe state.withLock { state in
            if state.free.isEmpty { Self.addChunk(to: &state) }
            guard let address = state.free.popLast(), let cell = unsafe UnsafeMutableRawPointer(bitPattern: address)
            else { return nil }
            state.serial += 1
            return unsafe (cell, state.serial)
        }
    }

    /// Wipes a cell and takes it back.
    func release(_ cell: UnsafeMutableRawPointer) {
        unsafe explicit_bzero(cell, Self.cellSize)
        let address = UInt(bitPattern: cell)
        state.withLock { $0.free.append(address) }
    }

    private static func addChunk(to state: inout State) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let chunk = unsafe mmap(nil, chunkSize, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe chunk != MAP_FAILED
        else { return }
        // Both are best effort: without them keys are as safe as the rest of the process's memory.
        _ = unsafe mlock(chunk, chunkSize)
        _ = unsafe madvise(chunk, chunkSize, MADV_DONTDUMP)
        _ = unsafe madvise(chunk, chunkSize, MADV_WIPEONFORK)
        let base = UInt(bitPattern: chunk)
        state.free.append(contentsOf: (0..<cellsPerChunk).reversed().map { base + UInt($0 * cellSize) })
    }
}
