// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Foundation
import Glibc
import Weft

@testable import WeftTunnelMap

/// Loading an eBPF program needs root.
let isRoot = geteuid() == 0

/// What the classifier did with a frame.
struct Verdict: Equatable {
    static let pass = UInt32.max
    static let drop: UInt32 = 2
    static let redirect: UInt32 = 7

    var action: UInt32
    var frame: [UInt8]
    /// Of one run.
    var nanoseconds: UInt32
}

struct RunFailed: Error {
    let errorNumber: Int32
}

/// Runs a program over a frame by BPF_PROG_TEST_RUN.
/// - Parameter repetitions: more than 1 only for what doesn't change the frame.
func run(_ program: Int32, over frame: [UInt8], mark: UInt32 = 0, repetitions: Int32 = 1) throws -> Verdict {
    var output = [UInt8](repeating: 0, count: frame.count + 256)
    var context = unsafe __sk_buff()
    unsafe context.mark = mark
    var options = unsafe bpf_test_run_opts()
    unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
    unsafe options.repeat = repetitions
    let status = unsafe frame.withUnsafeBytes { input in
        unsafe output.withUnsafeMutableBytes { output in
            unsafe withUnsafeMutablePointer(to: &context) { context in
                unsafe options.data_in = input.baseAddress
                unsafe options.data_size_in = UInt32(input.count)
                unsafe options.data_out = output.baseAddress
                unsafe options.data_size_out = UInt32(output.count)
                unsafe options.ctx_in = UnsafeRawPointer(context)
                unsafe options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
                return unsafe bpf_prog_test_run_opts(program, &options)
            }
        }
    }
    let code = errno
    guard status == 0 else { throw RunFailed(errorNumber: code) }
    return unsafe Verdict(
        action: options.retval, frame: Array(output.prefix(Int(options.data_size_out))), nanoseconds: options.duration)
}
