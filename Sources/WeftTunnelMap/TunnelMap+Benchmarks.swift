// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Glibc
import Weft

extension TunnelMap {
    /// Runs the classifier over a frame by BPF_PROG_TEST_RUN, for benchmarks.
    /// - Parameter repetitions: how often, in one call.
    /// - Returns: nanoseconds for each run, as the kernel measures.
    @_spi(Benchmarks)
    public func measure(_ frame: [UInt8], repetitions: Int) throws(TunnelMapError) -> Int {
        var options = unsafe bpf_test_run_opts()
        unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
        unsafe options.repeat = Int32(clamping: repetitions)
        // SAFETY: the kernel reads the frame, whose size stands beside it, during the call.
        let status = unsafe frame.withUnsafeBytes { bytes in
            unsafe options.data_in = bytes.baseAddress
            unsafe options.data_size_in = UInt32(bytes.count)
            return unsafe bpf_prog_test_run_opts(egress.raw, &options)
        }
        guard status == 0 else { throw .refused(operation: "run the classifier over a frame", errorNumber: errno) }
        return unsafe Int(options.duration)
    }
}
