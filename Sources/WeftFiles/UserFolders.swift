// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Where the files of whoever isn't root lie, by the XDG base directory specification.
public enum UserFolders {
    /// Where sockets of running tunnels are: below XDG_RUNTIME_DIR, or where that isn't set below the state's folder; nil without
    /// a home.
    public static var runtime: String? {
        path("XDG_RUNTIME_DIR").map { "\($0)/weft" } ?? state.map { "\($0)/run" }
    }

    /// What has to outlive a tunnel: below XDG_STATE_HOME, which is `~/.local/state` unless it is set; nil without a home.
    public static var state: String? { folder("XDG_STATE_HOME", below: ".local/state") }

    /// Tunnel files: below XDG_CONFIG_HOME, which is `~/.config` unless it is set; nil without a home.
    public static var configuration: String? { folder("XDG_CONFIG_HOME", below: ".config") }

    /// Whether a folder of the system's is this user's to write in, as root and a service with a folder of its own are asked.
    public static func isOurs(_ path: String) -> Bool {
        unsafe geteuid() == 0 || access(path, W_OK | X_OK) == 0
    }

    /// Makes a folder and those above it that are missing, for this user alone.
    /// - Returns: whether it is there.
    public static func make(_ path: String) -> Bool {
        var whole = ""
        for part in path.split(separator: "/") {
            whole += "/\(part)"
            // Above a folder that may not be looked into there may be one that may.
            _ = unsafe mkdir(whole, 0o700)
        }
        return unsafe access(path, X_OK) == 0
    }

    private static func folder(_ variable: String, below: String) -> String? {
        (path(variable) ?? path("HOME").map { "\($0)/\(below)" }).map { "\($0)/weft" }
    }

    /// What a variable says, if that is an absolute path: others are to be ignored.
    private static func path(_ variable: String) -> String? {
        guard let value = unsafe getenv(variable).map({ unsafe String(cString: $0) }), value.hasPrefix("/") else {
            return nil
        }
        return value
    }
}
