// SPDX-License-Identifier: Apache-2.0

/// An object that a C library allocated, with the function that releases it: one owner, released exactly once.
///
/// Every call of libnl in this module passes the pointers of owners that live for the whole call. Where a call says
/// nothing else, that is why it is safe.
@safe
struct NetlinkObject: ~Copyable {
    typealias Release = @convention(c) (OpaquePointer?) -> Void

    /// Valid as long as this owner; never stored elsewhere.
    let pointer: OpaquePointer
    private let release: Release

    /// Takes over one reference to `pointer`; nil is what a C allocator returns when memory is short.
    init(_ pointer: OpaquePointer?, release: @escaping Release) throws(LinkError) {
        guard let pointer = unsafe pointer else { throw .outOfMemory }
        unsafe self.pointer = unsafe pointer
        unsafe self.release = release
    }

    deinit {
        // SAFETY: this owner holds the only reference that `release` is meant to give up.
        unsafe release(pointer)
    }
}
