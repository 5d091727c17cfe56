// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

extension UDPSocket {
    /// Sends one datagram, and doesn't wait: what doesn't fit the socket's buffer is refused. From any thread.
    public func send(_ datagram: RawSpan, to endpoint: Endpoint) -> SendFailure? {
        guard var address = SocketAddress(endpoint, family) else { return .refused(EAFNOSUPPORT) }
        let sent = unsafe Self.withPointer(to: &address) { address in
            unsafe datagram.withUnsafeBytes { bytes in
                unsafe sendto(
                    raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT), address, SocketAddress.length(family))
            }
        }
        guard sent < 0 else { return nil }
        let code = errno
        return code == EMSGSIZE ? .tooLong : .refused(code)
    }
}
