// SPDX-License-Identifier: Apache-2.0
import CFuzzer
import Foundation

// The target is chosen by WEFT_FUZZ_TARGET; with WEFT_FUZZ_SEEDS its seeds are written into that folder instead, and
// with WEFT_FUZZ_LIST the targets' names are printed.

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data((message + "\n").utf8))
    exit(2)
}

let environment = ProcessInfo.processInfo.environment
if environment["WEFT_FUZZ_LIST"] != nil {
    for target in targets { print(target.name) }
    exit(0)
}
let names = targets.map(\.name).joined(separator: ", ")
guard let target = targets.first(where: { $0.name == environment["WEFT_FUZZ_TARGET"] }) else {
    fail("set WEFT_FUZZ_TARGET to one of: \(names)")
}
if let folder = environment["WEFT_FUZZ_SEEDS"] {
    do {
        for (number, seed) in try target.seeds().enumerated() {
            try Data(seed).write(to: URL(fileURLWithPath: folder).appendingPathComponent("seed-\(number)"))
        }
    } catch {
        fail("cannot write seeds to \(folder): \(error)")
    }
    exit(0)
}

/// What libFuzzer calls: a C function pointer, which captures nothing.
nonisolated(unsafe) var run: (RawSpan) -> Void = { _ in }
do { unsafe run = try target.make() } catch { fail("cannot set up \(target.name): \(error)") }

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
// Safe: the fuzzer lends `count` bytes for the call, and runs on this thread alone.
let status = unsafe LLVMFuzzerRunDriver(&argc, &argv) { bytes, count in
    guard let bytes = unsafe bytes else { return 0 }
    unsafe run(RawSpan(_unsafeStart: UnsafeRawPointer(bytes), byteCount: count))
    return 0
}
exit(status)
