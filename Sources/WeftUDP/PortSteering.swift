// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

/// Which of a port's sockets a datagram goes to: those that were bound first, and none that only send.
///
/// The kernel would spread over all that share a port (SO_REUSEPORT). The program takes its place for the group: it is classic BPF,
/// which needs no privilege. A flow stays on one socket.
enum PortSteering {
    private static let networkHeader = UInt32(bitPattern: SKF_NET_OFF)

    /// - Parameter receivers: how many sockets receive; the group's first ones.
    private static func program(receivers: Int) -> [sock_filter] {
        func step(_ code: Int32, _ value: UInt32, _ yes: UInt8 = 0, _ no: UInt8 = 0) -> sock_filter {
            sock_filter(code: UInt16(code), jt: yes, jf: no, k: value)
        }
        guard receivers > 1 else { return [step(BPF_RET | BPF_K, 0)] }
        let load = BPF_LD | BPF_W | BPF_ABS
        return [
            step(BPF_LD | BPF_B | BPF_ABS, networkHeader),
            step(BPF_ALU | BPF_RSH | BPF_K, 4),
            step(BPF_JMP | BPF_JEQ | BPF_K, 6, 4, 0),
            // IPv4 without options, as nearly all: the source, and both ports.
            step(load, networkHeader &+ 12),
            step(BPF_MISC | BPF_TAX, 0),
            step(load, networkHeader &+ 20),
            step(BPF_JMP | BPF_JA, 3),
            // IPv6: the end of the source, and both ports.
            step(load, networkHeader &+ 20),
            step(BPF_MISC | BPF_TAX, 0),
            step(load, networkHeader &+ 40),
            step(BPF_ALU | BPF_XOR | BPF_X, 0),
            // Ports that follow one another lie far apart then.
            step(BPF_ALU | BPF_MUL | BPF_K, 0x9E37_79B1),
            step(BPF_ALU | BPF_RSH | BPF_K, 16),
            step(BPF_ALU | BPF_MOD | BPF_K, UInt32(receivers)),
            step(BPF_RET | BPF_A, 0),
        ]
    }

    /// Sets it for all sockets of a port. From then on others that join get nothing.
    static func attach(to raw: Int32, receivers: Int) throws(TransportError) {
        var steps = program(receivers: receivers)
        try SystemCall.retrying("say which of a port's sockets receive") {
            unsafe steps.withUnsafeMutableBufferPointer { steps in
                // Safe: the kernel copies the program before the call returns.
                var whole = unsafe sock_fprog(len: UInt16(steps.count), filter: steps.baseAddress)
                return unsafe setsockopt(
                    raw, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, socklen_t(MemoryLayout<sock_fprog>.size))
            }
        }
    }
}
