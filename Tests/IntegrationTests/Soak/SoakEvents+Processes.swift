// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// What becomes of the tunnel's processes, and of its file.
    static let processEvents: [SoakEvent] =
        killed(.left, "") + killed(.right, " of the peer's") + stopped + reloads + refused

    private static func killed(_ place: Place, _ whose: String) -> [SoakEvent] {
        [
            SoakEvent("the data process\(whose) killed", at: place, "signal KILL $data"),
            SoakEvent("the control process\(whose) killed", at: place, "signal KILL $control"),
            SoakEvent("the control process\(whose) stopped", at: place, "signal STOP $control"),
            SoakEvent("the spawner\(whose) killed", at: place, "signal KILL $spawner"),
        ]
    }

    private static let stopped = [
        SoakEvent("the data process stopped for a while", "signal STOP $data", then: "signal CONT $data"),
        SoakEvent("the spawner stopped for a while", "signal STOP $spawner", then: "signal CONT $spawner"),
        SoakEvent(
            "the peer's data process stopped for a while", at: .right, "signal STOP $data", then: "signal CONT $data"),
        SoakEvent(
            "the host asleep", "signal STOP $data $control $spawner", then: "signal CONT $data $control $spawner"),
        SoakEvent("the data process crashed", "signal SEGV $data"),
        SoakEvent("the control process crashed", "signal ABRT $control"),
        SoakEvent("the control process hung up", "signal HUP $control"),
    ]

    private static let reloads = [
        SoakEvent(
            "a reload",
            "sed -i 's/^PersistentKeepalive.*/PersistentKeepalive = '$((20 + n))'/' weft0.conf; $weft reload weft0 >/dev/null"
        ),
        SoakEvent(
            "a reload by signal",
            "sed -i 's/^PersistentKeepalive.*/PersistentKeepalive = '$((20 + n))'/' weft0.conf; signal HUP $data"),
        SoakEvent(
            "a reload of a bad file",
            "cp weft0.conf good.conf; echo 'MTU = 14' >>weft0.conf; ! $weft reload weft0 2>/dev/null",
            then: "mv good.conf weft0.conf; $weft reload weft0 >/dev/null"),
        SoakEvent(
            "a peer added and taken away",
            """
            cp weft0.conf good.conf
            printf '\\n[Peer]\\nPublicKey = %s\\nAllowedIPs = 10.70.0.0/24\\n' $($weft genkey | $weft pubkey) >>weft0.conf
            $weft reload weft0 >/dev/null
            """, then: "mv good.conf weft0.conf; $weft reload weft0 >/dev/null"),
    ]

    private static let refused = [
        SoakEvent("the same tunnel once more", "! $weft up $PWD/weft0.conf 2>/dev/null"),
        SoakEvent(
            "another tunnel on its port",
            "sed 's/ListenPort.*/ListenPort = 6081/' weft1.conf >weft2.conf; ! $weft up $PWD/weft2.conf 2>/dev/null"),
    ]
}
