// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc
import Weft
import WeftLink

/// Why a private network can't be made, with what is missing and what helps.
public struct PrivateNamespaceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried.
    enum Step: Hashable, Sendable {
        case noDevice
        case closedDevice
        case fork
        case user
        case groups
        case maps
        case network
        case mounts
        case loopback

        init(_ number: Int32) {
            self =
                switch UInt32(bitPattern: number) {
                case WEFT_PRIVATE_USER.rawValue: .user
                case WEFT_PRIVATE_GROUPS.rawValue: .groups
                case WEFT_PRIVATE_USER_MAP.rawValue, WEFT_PRIVATE_GROUP_MAP.rawValue: .maps
                case WEFT_PRIVATE_NETWORK.rawValue: .network
                case WEFT_PRIVATE_MOUNTS.rawValue: .mounts
                case WEFT_PRIVATE_LOOPBACK.rawValue: .loopback
                default: .fork
                }
        }
    }

    let step: Step
    let code: Int32
    private let settings: Settings

    init(_ step: Step, code: Int32, settings: Settings = .present()) {
        (self.step, self.code, self.settings) = (step, code, settings)
    }

    /// What of the host decides whether who isn't root may make namespaces.
    struct Settings: Hashable, Sendable {
        /// Of user and of network namespaces, how many one user may have.
        var mostUsers: Int?
        var mostNetworks: Int?
        /// Whether Debian's own switch is off (kernel.unprivileged_userns_clone).
        var isSwitchedOff = false
        /// Whether AppArmor leaves a program without a profile no capability in there, as Ubuntu's has it since 23.10.
        var isRestrictedByAppArmor = false

        static func present() -> Settings {
            func number(_ path: String) -> Int? { HostSetting.value(at: path).flatMap { Int($0) } }
            return Settings(
                mostUsers: number("user/max_user_namespaces"), mostNetworks: number("user/max_net_namespaces"),
                isSwitchedOff: number("kernel/unprivileged_userns_clone") == 0,
                isRestrictedByAppArmor: number("kernel/apparmor_restrict_unprivileged_userns") == 1)
        }
    }

    public var description: String { "cannot make a private network: \(what)" }

    private var what: String {
        switch step {
        case .noDevice:
            return
                "there is no /dev/net/tun: load the module (modprobe tun), or start a container with --device /dev/net/tun"
        case .closedDevice:
            return "/dev/net/tun can't be opened by this user: give it mode 0666, as udev does by itself"
        case .user, .groups, .maps, .network, .mounts, .loopback: break
        case .fork: return "cannot start a process: \(SystemCall.message(code))"
        }
        if settings.mostUsers == 0 {
            return "this host allows no user namespaces: sysctl user.max_user_namespaces=10000"
        }
        if settings.isSwitchedOff {
            return "this host allows user namespaces to root alone: sysctl kernel.unprivileged_userns_clone=1"
        }
        if settings.mostNetworks == 0 {
            return "this host allows no network namespaces: sysctl user.max_net_namespaces=10000"
        }
        if settings.isRestrictedByAppArmor, code == EPERM || code == EACCES {
            return "AppArmor gives this program no capability in a user namespace of its own: install its profile with "
                + "`flags=(unconfined) { userns, }`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        }
        switch (step, code) {
        case (_, ENOSPC):
            return
                "this user has as many namespaces as it may: raise user.max_user_namespaces and user.max_net_namespaces"
        case (.user, EPERM):
            return
                "user namespaces are forbidden here: in a chroot nobody may make one, and a container forbids it unless it is "
                + "started with --security-opt seccomp=unconfined or a profile that allows unshare"
        case (.user, EINVAL): return "the kernel has no user namespaces (CONFIG_USER_NS)"
        case (.mounts, EPERM), (.mounts, EACCES):
            return "mounts of its own are forbidden here, as containers do it: start that with --security-opt "
                + "apparmor=unconfined"
        default: return "\(SystemCall.message(code)) while it was made (\(step))"
        }
    }
}
