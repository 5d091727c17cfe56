// SPDX-License-Identifier: Apache-2.0
import CWeftCapability

/// What a process must be allowed to do.
enum Capabilities: Int32 {
    case netAdmin = 12
    case sysAdmin = 21
    case bpf = 39

    var name: String {
        switch self {
        case .netAdmin: "CAP_NET_ADMIN"
        case .sysAdmin: "CAP_SYS_ADMIN"
        case .bpf: "CAP_BPF"
        }
    }

    private var isHeld: Bool {
        guard let held = unsafe cap_get_proc() else { return false }
        defer { unsafe cap_free(UnsafeMutableRawPointer(held)) }
        var value = CAP_CLEAR
        // SAFETY: libcap writes one flag.
        return unsafe cap_get_flag(held, rawValue, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET
    }

    /// The names of those that the process lacks; nil if it has them all. CAP_SYS_ADMIN stands for CAP_BPF too.
    static func missing(_ needed: [Capabilities]) -> [String]? {
        let names = needed.filter { !$0.isHeld && !($0 == .bpf && Capabilities.sysAdmin.isHeld) }.map(\.name)
        return names.isEmpty ? nil : names
    }
}
