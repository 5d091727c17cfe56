// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftCommand

/// `--detach`: starts the command again in a session of its own and waits until its tunnel is up.
enum Detach {
    static func run(_ verb: Verb, _ file: String) throws(CommandFailure) {
        var ends: (Int32, Int32) = (-1, -1)
        let made = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
            // Safe: a tuple of two integers lies in memory like an array of two.
            unsafe bytes.assumingMemoryBound(to: Int32.self).baseAddress.map { unsafe weft_pipe($0) } ?? -1
        }
        guard made == 0 else { throw CommandFailure(.failed, "cannot make a pipe: \(SystemCall.message(errno))") }
        let reading = FileDescriptor(owning: ends.0)
        let child: Int32
        do {
            let writing = FileDescriptor(owning: ends.1)
            child = unsafe verb.rawValue.withCString { verb in
                unsafe file.withCString { file in
                    unsafe weft_spawn_detached(verb, file, writing.raw, Ready.descriptor, Ready.variable)
                }
            }
        }
        guard child > 0 else { throw CommandFailure(.failed, "cannot start a process: \(SystemCall.message(errno))") }
        var answer = [UInt8](repeating: 0, count: 16)
        var count: Int
        repeat {
            count = unsafe answer.withUnsafeMutableBytes { unsafe read(reading.raw, $0.baseAddress, $0.count) }
        } while count < 0 && errno == EINTR
        if count > 0 { return }
        // It closed the pipe without a word: its own message is on standard error, its exit code is ours.
        var status: Int32 = 0
        _ = unsafe waitpid(child, &status, 0)
        let code = (status >> 8) & 0xFF
        throw CommandFailure(ExitCode(rawValue: code) ?? .failed, code == 0 ? "the tunnel ended at once" : "")
    }
}
