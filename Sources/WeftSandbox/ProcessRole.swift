// SPDX-License-Identifier: Apache-2.0
import CWeftCapability
import CWeftLinux
import Glibc

/// What a process of a running tunnel is for, and with that what it may do.
public enum ProcessRole: Hashable, Sendable {
    /// Has the engine, the devices, sockets, routes and the admin socket.
    /// - Parameter usesXDP: it may bind AF_XDP to an interface that went and came back.
    case data(usesXDP: Bool)
    /// Speaks with strangers: reads and writes descriptors that it has, and nothing else.
    case control
    /// Starts, kills and reaps control processes; what it starts is filtered likewise.
    /// - Parameter program: a descriptor that the control process's program is open on, the only one that `weft_execute` runs.
    case spawner(program: Int32)

    /// Those that it keeps, as far as it has them.
    var capabilities: [cap_value_t] {
        switch self {
        case .data(let usesXDP):
            // Routes, rules, addresses and marks take CAP_NET_ADMIN; binding to an interface the others, the last one where a user's
            // frames may not be as many as they are.
            [CAP_NET_ADMIN] + (usesXDP ? [CAP_NET_RAW, cap_value_t(CAP_BPF)] : [])
                + (usesXDP && Self.isMemoryLimited ? [CAP_IPC_LOCK] : [])
        case .control, .spawner: []
        }
    }

    /// Whether locked memory has a limit, which counts for all of a user's processes together.
    private static var isMemoryLimited: Bool {
        var limit = rlimit()
        return unsafe getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) != 0 || limit.rlim_cur != .max
    }

    /// The filter of its system calls, not loaded yet.
    func filter() throws(SandboxError) -> SystemCallFilter {
        var filter = try SystemCallFilter(otherwise: otherwise)
        switch self {
        case .data(let usesXDP): try filter.addDataRules(usesXDP: usesXDP)
        case .control: try filter.addControlRules()
        case .spawner(let program): try filter.addSpawnerRules(program: program)
        }
        return filter
    }

    private var otherwise: SystemCallFilter.Answer {
        switch self {
        case .data, .control: .refuse
        // Its handler would be gone in what it starts, which SIGSYS would then end.
        case .spawner: .fail(EPERM)
        }
    }
}
