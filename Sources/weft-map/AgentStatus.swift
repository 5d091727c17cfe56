// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import WeftCommand

/// What an agent knows beyond the kernel's maps, for `show`: a file beside its lock, written anew as a whole.
struct AgentStatus: Codable, Equatable {
    /// Seconds that peers' clocks are ahead of ours, to a tenth.
    var clocks: [String: Double] = [:]

    private static func path(of name: String) -> String { "\(RuntimeFolder.path)/tunnel-map-\(name).json" }

    /// What the agent of a map says; nil if none runs.
    static func read(_ name: String) -> AgentStatus? {
        guard RunLock.isHeld(name), let data = try? Data(contentsOf: URL(fileURLWithPath: path(of: name))) else {
            return nil
        }
        return try? JSONDecoder().decode(AgentStatus.self, from: data)
    }

    func write(_ name: String) {
        guard let data = try? JSONEncoder().encode(self) else { return }
        try? data.write(to: URL(fileURLWithPath: Self.path(of: name)), options: .atomic)
    }

    static func remove(_ name: String) { _ = unsafe unlink(path(of: name)) }
}
