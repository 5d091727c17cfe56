// SPDX-License-Identifier: Apache-2.0

extension Host {
    /// Has this host's datagrams leave as ICX's do: data and keep-alives from ports between 49152 and 65535, and control,
    /// where `dials` says so, from a port that nobody chose. Only 6081 takes data: what is sent to where data came from
    /// arrives nowhere.
    ///
    /// No connection is tracked, so nothing is translated back but the control that the host dialled.
    func sendAsICX(dials: Bool) async throws {
        let ports = (0..<16).map { "\($0) : \(49152 + 1023 * $0)" }.joined(separator: ", ")
        try await shell(
            """
            nft add table inet icx
            nft 'add chain inet icx out { type filter hook output priority -300; }'
            nft 'add rule inet icx out oifname underlay udp sport 6081 udp sport set numgen random mod 16 map { \(ports) }'
            """)
        guard dials else { return }
        try await shell(
            """
            nft 'add chain inet icx in { type filter hook prerouting priority -300; }'
            nft 'add rule inet icx out oifname underlay udp sport 6082 udp sport set 41234'
            nft 'add rule inet icx in iifname underlay udp dport 41234 udp dport set 6082'
            """)
    }
}
