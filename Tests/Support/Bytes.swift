// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
    /// Lends the array's bytes to a transform.
    public mutating func withMutableBytes<Result>(_ body: (inout MutableRawSpan) -> Result) -> Result {
        var elements = mutableSpan
        var bytes = unsafe elements.mutableBytes
        return body(&bytes)
    }
}
