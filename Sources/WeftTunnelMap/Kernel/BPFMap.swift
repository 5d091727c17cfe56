// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Glibc
import Weft

/// One of the kernel's maps. Keys and values are structures of plain integers without padding, as the kernel compares bytes.
///
/// Any thread may call any of this: the kernel keeps elements whole.
final class BPFMap<Key: BitwiseCopyable, Value: BitwiseCopyable>: Sendable {
    let name: String
    /// How many elements it has room for.
    let capacity: Int
    private let owner: FileDescriptor

    var descriptor: Int32 { owner.raw }

    /// Takes over a map's descriptor, after making sure that its keys and values have our sizes.
    init(_ name: String, owning owner: consuming FileDescriptor) throws(TunnelMapError) {
        self.name = name
        var information = bpf_map_info()
        var length = UInt32(MemoryLayout<bpf_map_info>.size)
        // SAFETY: the kernel writes at most `length` bytes into a structure of that size.
        guard unsafe bpf_obj_get_info_by_fd(owner.raw, &information, &length) == 0 else {
            throw .refused(operation: "look at map \(name)", errorNumber: errno)
        }
        guard information.key_size == MemoryLayout<Key>.size, information.value_size == MemoryLayout<Value>.size else {
            throw .damaged("map \(name) has keys or values of another size")
        }
        capacity = Int(information.max_entries)
        self.owner = owner
    }

    private func refused(_ operation: String) -> TunnelMapError {
        .refused(operation: "\(operation) map \(name)", errorNumber: errno)
    }

    /// Adds an element or replaces it as a whole.
    func set(_ key: Key, to value: Value) throws(TunnelMapError) {
        // SAFETY: the kernel reads one key and one value, whose sizes `init` has checked.
        let status = unsafe withUnsafePointer(to: key) { key in
            unsafe withUnsafePointer(to: value) { unsafe bpf_map_update_elem(owner.raw, key, $0, 0) }
        }
        guard status == 0 else { throw refused("write to") }
    }

    /// An element's value; nil if there is none. Not for maps with a value for each processor.
    func value(of key: Key) -> Value? {
        unsafe withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { buffer in
            // SAFETY: the kernel writes one value, whose size `init` has checked, or nothing when it fails.
            guard let base = buffer.baseAddress else { return nil }
            let found = unsafe withUnsafePointer(to: key) { unsafe bpf_map_lookup_elem(owner.raw, $0, base) == 0 }
            return found ? unsafe base.pointee : nil
        }
    }

    /// An element's values, one for each processor.
    func values(of key: Key, processors: Int) -> [Value] {
        // The kernel rounds each up to 8 bytes; our values are multiples of that.
        unsafe [Value](unsafeUninitializedCapacity: processors) { buffer, count in
            let found = unsafe withUnsafePointer(to: key) {
                unsafe bpf_map_lookup_elem(owner.raw, $0, buffer.baseAddress) == 0
            }
            count = found ? processors : 0
        }
    }

    /// Sets an element's values, one for each processor.
    func set(_ key: Key, to values: [Value]) throws(TunnelMapError) {
        // SAFETY: the kernel reads a value for each processor, and the caller has as many.
        let status = unsafe withUnsafePointer(to: key) { key in
            unsafe values.withUnsafeBufferPointer {
                unsafe bpf_map_update_elem(owner.raw, key, $0.baseAddress, 0)
            }
        }
        guard status == 0 else { throw refused("write to") }
    }

    /// Takes an element away; that there is none is no error.
    func remove(_ key: Key) throws(TunnelMapError) {
        let status = unsafe withUnsafePointer(to: key) { unsafe bpf_map_delete_elem(owner.raw, $0) }
        guard status == 0 || errno == ENOENT else { throw refused("delete from") }
    }

    /// Adds or replaces many elements with few calls.
    /// - Parameter applied: grows by each element that was written, also when a later one fails.
    func set(_ keys: [Key], to values: [Value], applied: inout Int) throws(TunnelMapError) {
        precondition(keys.count == values.count)
        try unsafe inBatches(keys, applied: &applied, during: "write to") { keys, offset, count in
            unsafe values.withUnsafeBufferPointer {
                unsafe bpf_map_update_batch(owner.raw, keys, $0.baseAddress.map { unsafe $0 + offset }, &count, nil)
            }
        }
    }

    /// Takes many elements away with few calls. Each must be there.
    func remove(_ keys: [Key], applied: inout Int) throws(TunnelMapError) {
        try unsafe inBatches(keys, applied: &applied, during: "delete from") { keys, _, count in
            unsafe bpf_map_delete_batch(owner.raw, keys, &count, nil)
        }
    }

    /// At most so many elements a call, so that none holds the kernel up for long.
    private static var batch: Int { 4096 }

    private func inBatches(
        _ keys: [Key], applied: inout Int, during operation: String,
        _ call: (_ keys: UnsafePointer<Key>, _ offset: Int, _ count: inout UInt32) -> Int32
    ) throws(TunnelMapError) {
        var offset = 0
        while offset < keys.count {
            let wanted = UInt32(min(Self.batch, keys.count - offset))
            var count = wanted
            // SAFETY: `count` elements from `offset` on lie within the array.
            let status = unsafe keys.withUnsafeBufferPointer { keys -> Int32 in
                guard let base = keys.baseAddress else { return 0 }
                return unsafe call(base + offset, offset, &count)
            }
            let code = errno
            // A call that is refused as a whole leaves the count as it was.
            if status != 0, count == wanted { count = 0 }
            applied += Int(count)
            offset += Int(count)
            guard status == 0 else { throw .refused(operation: "\(operation) map \(name)", errorNumber: code) }
            // A batch that ends early without an error would otherwise be tried for ever.
            guard count > 0 else { throw .refused(operation: "\(operation) map \(name)", errorNumber: EIO) }
        }
    }

    /// Calls `body` with each element. Those that others add or remove meanwhile may be missing.
    func forEach(_ body: (Key, Value) throws(TunnelMapError) -> Void) throws(TunnelMapError) {
        var capacity = Self.batch
        var keys: [Key] = []
        var values: [Value] = []
        // The kernel's place in the map: a key, or a bucket's number.
        var place = [UInt8](repeating: 0, count: max(MemoryLayout<Key>.size, 8))
        var isFirst = true
        while true {
            var count = UInt32(capacity)
            var status: Int32 = 0
            // SAFETY: there is room for `capacity` keys and values, of which the kernel fills `count`; it reads the place only
            // after it has written it.
            values = unsafe [Value](unsafeUninitializedCapacity: capacity) { valueBuffer, valueCount in
                keys = unsafe [Key](unsafeUninitializedCapacity: capacity) { keyBuffer, keyCount in
                    status = unsafe place.withUnsafeMutableBytes { place in
                        unsafe bpf_map_lookup_batch(
                            owner.raw, isFirst ? nil : place.baseAddress, place.baseAddress, keyBuffer.baseAddress,
                            valueBuffer.baseAddress, &count, nil)
                    }
                    // A bucket with more elements than there is room for: once more, with more.
                    if status != 0, errno != ENOENT { count = 0 }
                    keyCount = Int(count)
                }
                valueCount = Int(count)
            }
            let code = errno
            if status != 0, code == ENOSPC, capacity < 1 << 24 {
                capacity *= 2
                continue
            }
            guard status == 0 || code == ENOENT else {
                throw .refused(operation: "read map \(name)", errorNumber: code)
            }
            for index in keys.indices { try body(keys[index], values[index]) }
            if status != 0 { return }
            isFirst = false
        }
    }
}
