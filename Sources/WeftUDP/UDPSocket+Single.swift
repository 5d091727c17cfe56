// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft

extension UDPSocket {
    /// Sends one datagram, and doesn't wait: what doesn't fit the socket's buffer is refused. From any thread.
    /// - Parameters:
    ///   - local: the address of ours that it leaves from; nil, or one that isn't ours, for the kernel's choice.
    ///   - trafficClass: of its IP header.
    public func send(
        _ datagram: RawSpan, to endpoint: Endpoint, from local: IPAddress? = nil, trafficClass: UInt8 = 0
    ) -> SendFailure? {
        guard var address = SocketAddress(endpoint, family) else { return .refused(EAFNOSUPPORT) }
        func control(_ local: IPAddress?) -> AncillaryData {
            AncillaryData(
                segmentSize: nil, from: local, trafficClass: trafficClass, to: endpoint.address.family, family)
        }
        var code = send(datagram, to: &address, control(local))
        if Self.isLost(local, by: code) { code = send(datagram, to: &address, control(nil)) }
        return code == 0 ? nil : code == EMSGSIZE ? .tooLong : .refused(code)
    }

    /// Whether a send may have failed with that `errno` because of the address of ours that it was to leave from: it isn't ours any
    /// more, or nothing leads from it to where the datagram goes.
    static func isLost(_ local: IPAddress?, by code: Int32) -> Bool {
        local != nil && (code == EINVAL || code == ENETUNREACH || code == EHOSTUNREACH || code == EADDRNOTAVAIL)
    }

    /// Returns 0 or an `errno`.
    private func send(_ datagram: RawSpan, to address: inout SocketAddress, _ control: AncillaryData) -> Int32 {
        var control = control
        return unsafe Self.withPointer(to: &address) { address in
            unsafe withUnsafeMutablePointer(to: &control) { control in
                unsafe datagram.withUnsafeBytes { bytes in
                    // Safe: sendmsg only reads through the vector, and all of it lives until the call returns.
                    var vector = unsafe iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
                    return unsafe withUnsafeMutablePointer(to: &vector) { vector in
                        var header = unsafe msghdr()
                        unsafe header.msg_name = UnsafeMutableRawPointer(address)
                        unsafe header.msg_namelen = SocketAddress.length(family)
                        unsafe header.msg_iov = vector
                        unsafe header.msg_iovlen = 1
                        let length = unsafe control.pointee.byteCount
                        if length > 0 { unsafe header.msg_control = UnsafeMutableRawPointer(control) }
                        unsafe header.msg_controllen = length
                        return unsafe sendmsg(raw, &header, Int32(MSG_DONTWAIT)) < 0 ? errno : 0
                    }
                }
            }
        }
    }
}
