// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft
import WeftLink

/// Keeps what a tunnel has put into its host: follows the kernel's events, compares, and puts back what somebody removed or
/// changed.
///
/// A change is put back within a second, ten times a minute, and then every ten seconds. It takes CAP_NET_ADMIN and no file but
/// those below /proc/sys.
public final class HostKeeper: Sendable {
    /// What a keeper is made from.
    public struct Configuration: Sendable {
        /// The UDP ports at which datagrams arrive.
        public var ports: [UInt16]
        /// Whether marked datagrams leave from other ports, too, so that answers come to them.
        public var sendsFromOtherPorts = false
        /// Whether an interface that is gone can be made anew.
        public var replacesInterface = false

        public init(ports: [UInt16]) { self.ports = ports }
    }

    /// What happens when the interface is gone.
    public enum Loss: Sendable {
        /// It's there again, and configured.
        case madeAnew
        /// The tunnel ends, for this reason.
        case ended(String)
    }

    let host: HostState
    /// Nil where there is no nftables.
    let filter: HostGuard?
    private let configuration: Configuration
    private let log: @Sendable (String) -> Void
    private let onLoss: @Sendable () -> Loss
    private let wake: WakeEvent
    private let isClosing = Atomic(false)
    private let loss = Mutex<String?>(nil)
    private let hasRun = Atomic(false)
    private let published = Mutex(HostReport())
    private let work: Mutex<Work>
    /// Where datagrams arrive, too; 0 for nowhere.
    private let secondPort = Atomic<UInt16>(0)

    /// What looks share; used by one thread at a time.
    struct Work: ~Copyable {
        var netlink: Netlink
        var pacing = RestorePacing()
        var report = HostReport()
        /// The last lines, so that each is logged once.
        var told: Set<String> = []
        var isPausing = false
    }

    /// - Parameters:
    ///   - filter: what `close(for:_:)` gave.
    ///   - onLoss: called on the keeper's thread when the interface is gone.
    ///   - log: takes a warning for a person.
    public init(
        _ host: HostState, _ filter: HostGuard?, _ configuration: Configuration,
        onLoss: @escaping @Sendable () -> Loss, log: @escaping @Sendable (String) -> Void
    ) throws {
        self.host = host
        self.filter = filter
        self.configuration = configuration
        self.onLoss = onLoss
        self.log = log
        wake = try WakeEvent()
        work = Mutex(Work(netlink: try Netlink()))
        published.withLock { $0.isGuarded = host.wants.routes.isGuarded }
        try? ownSetting.write()
        try? filter?.acquire([.redirects])
        if let former = filter?.formerTable {
            try work.withLock { work in _ = try work.netlink.openDeadEnds(of: former) }
        }
    }

    /// How things are, and how often they had to be put back.
    public var report: HostReport { published.withLock { $0 } }

    /// Why it ended, if that is because the interface is gone.
    public var lossText: String? { loss.withLock { $0 } }

    /// A clean end: what the tunnel should carry may leave by any way again.
    public func remove() { filter?.remove() }

    public func close() {
        isClosing.store(true, ordering: .releasing)
        wake.signal()
    }

    /// It never came to running: the guard is as before.
    deinit {
        if !hasRun.load(ordering: .relaxed), !host.wants.isTakenOver { filter?.remove() }
    }

    /// Milliseconds between looks at what no event tells of: settings below /proc/sys.
    private static let interval: Int32 = 1000

    /// Runs until ``close()``.
    public func run() {
        hasRun.store(true, ordering: .relaxed)
        guard var events = try? LinkEvents(.host) else {
            return log("can't follow changes of the host: what is removed isn't put back")
        }
        var ruleset = try? RulesetEvents()
        var schedule = LookSchedule()
        var looksAtFilter = true
        while !isClosing.load(ordering: .acquiring) {
            let now = SystemCall.now()
            if now >= schedule.next {
                let next = look(atFilter: looksAtFilter || now >= schedule.full)
                schedule.looked(from: now, to: SystemCall.now())
                looksAtFilter = false
                if let next {
                    schedule.wait(until: next)
                    looksAtFilter = true
                }
                continue
            }
            let left = (schedule.next.nanoseconds - now.nanoseconds) / 1_000_000 + 1
            let timeout = min(Self.interval, Int32(clamping: left))
            let ready = try? wake.wait(
                forEither: events.descriptor, or: ruleset?.descriptor ?? -1, timeout: timeout)
            let then = SystemCall.now()
            if ready == .ready {
                if events.drain() { schedule.changed(at: then) }
                if ruleset != nil {
                    let tables = ruleset?.drain()
                    if tables.map({ $0.contains { ["weft", "firewalld", filter?.plan.tableName].contains($0) } })
                        ?? true
                    {
                        looksAtFilter = true
                        schedule.changed(at: then)
                    }
                }
            } else if !changedSettings().isEmpty {
                schedule.changed(at: then)
            }
        }
    }

    /// What isn't as the tunnel wants it at this moment.
    public func differences() throws -> [HostDifference] {
        try work.withLock { work in try differences(&work.netlink, atFilter: true) }
    }

    func differences(_ netlink: inout Netlink, atFilter: Bool) throws -> [HostDifference] {
        var found: [HostDifference] = []
        if atFilter, let filter, try !filter.isWhole() { found.append(.guardTable(filter.plan.tableName)) }
        found += try host.differences(&netlink)
        if !found.contains(.gone) { found += changedSettings().map { .setting($0) } }
        return found
    }

    /// No ICMP redirects from the interface: nobody behind a tunnel reaches another one directly.
    private var ownSetting: HostSetting { HostSetting("net/ipv4/conf/\(host.wants.name)/send_redirects", "0") }

    private func changedSettings() -> [HostSetting] {
        let own = ownSetting
        let isChanged = HostSetting.value(at: own.path).map { $0 != own.value } ?? false
        return (isChanged ? [own] : []) + (filter?.changedSettings() ?? [])
    }

    /// Looks, and puts back what has to be.
    /// - Returns: when to look again for what couldn't be put back yet.
    private func look(atFilter: Bool) -> Instant? {
        let (next, isLost) = work.withLock { work in
            let outcome = look(&work, atFilter: atFilter)
            published.withLock { $0 = work.report }
            return outcome
        }
        // Outside of the lock: what makes the interface anew configures it here.
        guard isLost else { return next }
        switch onLoss() {
        case .madeAnew:
            note("the interface was removed: it is made anew", restored: ["interface"])
            return SystemCall.now()
        case .ended(let why):
            loss.withLock { $0 = why }
            host.abandon()
            close()
            return nil
        }
    }

    private func note(_ text: String, restored kinds: Set<String>) {
        log("\(text)")
        work.withLock { work in
            work.pacing.restored(at: SystemCall.now())
            work.report.note(restored: kinds, at: SystemCall.now())
            published.withLock { $0 = work.report }
        }
    }

    private func look(_ work: inout Work, atFilter: Bool) -> (next: Instant?, isLost: Bool) {
        var trouble: [String] = []
        do {
            let found = try differences(&work.netlink, atFilter: atFilter)
            let now = SystemCall.now()
            if found.contains(.gone), !configuration.replacesInterface || work.pacing.next(at: now) <= now {
                return (nil, true)
            }
            let next = work.pacing.next(at: now)
            if !found.isEmpty, next > now {
                if !work.isPausing { log("something is changed again and again, and is put back every 10 s now") }
                work.isPausing = true
                work.report.trouble = found.map(\.description)
                return (next, false)
            }
            work.isPausing = false
            if !found.isEmpty { trouble = restore(found, &work, now) }
            if let line = try host.followWay(&work.netlink) { trouble.append(line) }
            // Last: what is open is closed first.
            if let filter {
                try filter.apply(plan(for: host.wants.routes), &work.netlink)
                if atFilter { try filter.restoreShared() }
                if !filter.plan.arrivals.isEmpty { try filter.acquire([.marks]) }
                trouble += filter.notFollowed.map {
                    "rule \($0) asks for what the guard can't tell: packets that it leads elsewhere are dropped"
                }
            }
        } catch {
            trouble.append("\(error)")
        }
        trouble += complaints()
        for line in trouble where !work.told.contains(line) { log("\(line)") }
        work.told = Set(trouble)
        work.report.trouble = trouble
        work.report.isGuarded = host.wants.routes.isGuarded
        return (nil, false)
    }

    /// Puts everything back that can be, and gives the reasons where that failed.
    private func restore(_ found: [HostDifference], _ work: inout Work, _ now: Instant) -> [String] {
        var trouble: [String] = []
        var done: [HostDifference] = []
        for difference in found {
            do {
                switch difference {
                case .guardTable: try filter?.restore()
                case .setting(let setting): try setting.write()
                default: try host.restore(difference, &work.netlink)
                }
                done.append(difference)
            } catch {
                trouble.append("\(error)")
            }
        }
        do { try host.refreshWays(after: done, &work.netlink) } catch { trouble.append("\(error)") }
        work.pacing.restored(at: now)
        if !done.isEmpty {
            work.report.note(restored: Set(done.map(\.kind)), at: now)
            let more = done.count > 4 ? ", and \(done.count - 4) more" : ""
            log(
                "somebody changed the host; put back: \(done.prefix(4).map(\.description).joined(separator: "; "))\(more)"
            )
        }
        return trouble
    }

    /// What can't be put back because the host is as it is.
    private func complaints() -> [String] {
        var lines: [String] = []
        let wants = host.wants
        let hasIPv6 = wants.addresses.contains { $0.address.family == .v6 } || wants.routes.hasIPv6
        if hasIPv6, !host.carriesIPv6 {
            let rest = wants.routes.isGuarded ? ", and what should go there goes nowhere" : ""
            lines.append("IPv6 is off on \(wants.name): its IPv6 addresses and prefixes are left out\(rest)")
        }
        if filter == nil, case .policy(let plan) = wants.routes, plan.usesRules(for: .v4),
            let warning = ReversePathFilter.warning(except: wants.name)
        {
            lines.append(warning)
        }
        return lines
    }
}

extension HostKeeper {
    /// Datagrams arrive at one more port from now on, or at none but the tunnel's own.
    public func expectDatagrams(at port: UInt16?) throws {
        guard secondPort.exchange(port ?? 0, ordering: .relaxed) != port ?? 0 else { return }
        try work.withLock { work in _ = try filter?.apply(plan(for: host.wants.routes), &work.netlink) }
    }

    /// Leads other prefixes into the interface. The guard holds all the while.
    public func update(to routes: TunnelRoutes) throws {
        try work.withLock { work in
            try Self.check(routes, filter, &work.netlink)
            let (old, new) = (plan(for: host.wants.routes), plan(for: routes))
            if let filter {
                var both = new
                both.guarded += old.guarded.filter { !new.guarded.contains($0) }
                try filter.apply(both, &work.netlink)
            }
            do {
                try host.update(to: routes)
            } catch {
                _ = try? filter?.apply(old, &work.netlink)
                throw error
            }
            try filter?.apply(new, &work.netlink)
        }
    }

    /// The filter's part for routes as they are, or are to be.
    func plan(for routes: TunnelRoutes) -> GuardPlan {
        var configuration = configuration
        let second = secondPort.load(ordering: .relaxed)
        if second != 0 { configuration.ports.append(second) }
        return Self.plan(
            for: routes, host.wants.name, configuration, hasFirewalldFilter: filter?.hasFirewalldFilter() ?? false)
    }

    private static func plan(
        for routes: TunnelRoutes, _ name: String, _ configuration: Configuration, hasFirewalldFilter: Bool
    ) -> GuardPlan {
        guard case .policy(let routing) = routes else { return GuardPlan(name: name, mark: 0, table: 0) }
        var plan = GuardPlan(name: name, mark: routing.mark, table: routing.table, guarded: routing.deadEnds)
        let isAsked =
            routing.usesRules(for: .v4) && !ReversePathFilter.strictInterfaces(except: name).isEmpty
            || routing.usesRules(for: .v6) && hasFirewalldFilter
        if isAsked {
            plan.arrivals = configuration.ports
            plan.tracksAnswers = configuration.sendsFromOtherPorts
        }
        return plan
    }

    /// Closes the guard before anything else is there; an unguarded tunnel's stays open.
    /// - Returns: nil where there is no nftables, and no guard is wanted.
    /// - Throws: where a guard is wanted and can't be had.
    public static func close(
        for routes: TunnelRoutes, name: String, _ configuration: Configuration
    ) throws -> HostGuard? {
        do {
            let plan = plan(for: routes, name, configuration, hasFirewalldFilter: false)
            let filter = try HostGuard(plan)
            var netlink = try Netlink()
            try check(routes, filter, &netlink)
            try filter.apply(plan, &netlink)
            return filter
        } catch let error as GuardError {
            if routes.isGuarded { throw error }
            return nil
        }
    }
}

extension HostKeeper {
    /// Two tunnels can't both have everything.
    private static func check(
        _ routes: TunnelRoutes, _ filter: HostGuard?, _ netlink: inout Netlink
    ) throws(LinkError) {
        guard case .policy(let plan) = routes else { return }
        for other in try netlink.otherDefaults(than: plan) where other.table != filter?.formerTable {
            let family = other.family == .v4 ? "IPv4" : "IPv6"
            if let device = other.device {
                throw .unusablePlan(
                    "\(device) takes the default route of \(family) already: take \(other.family == .v4 ? "0.0.0.0/0" : "::/0") "
                        + "out of one file's AllowedIPs, or run `weft down \(device)` first")
            }
            let name = filter?.tunnel(ofTable: other.table)
            throw .unusablePlan(
                "\(name ?? "a tunnel") that is gone has left the default route of \(family) closed: "
                    + "start it anew, or run `weft down \(name ?? "NAME")` first")
        }
    }
}

extension HostGuard {
    /// As ``apply(_:_:)``, with the host's routes as they are now.
    @discardableResult
    func apply(_ plan: GuardPlan, _ netlink: inout Netlink) throws -> Bool {
        try apply(plan, GuardView(plan, &netlink))
    }
}
