// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftCommand
import WeftConfig
import WeftLink

extension WeftNode {
    /// What its file, or another one, would change; the reasons if it's a bad file.
    func plan(_ path: String? = nil) -> (text: String, isGood: Bool) {
        do throws(TunnelFileError) {
            let new = try TunnelFile.load(path: path ?? configuration.file)
            new.interface.identity?.giveUp()
            let plan = ReloadPlan(from: configuration, to: new, servesKeys: servesKeys)
            return (plan.text, plan.refusals.isEmpty)
        } catch {
            return (error.lines.joined(separator: "\n"), false)
        }
    }

    /// Applies its file, one request after the other, and logs what came of it.
    package func reloadOnce() -> (text: String, isGood: Bool) {
        reloading.withLock { _ in
            let outcome = reload()
            for line in outcome.text.split(separator: "\n") {
                if outcome.isGood { log.info("reload: \(line)") } else { log.warning("reload: \(line)") }
            }
            return outcome
        }
    }

    /// Applies its file as it is now, all of it or nothing; what changed, or why nothing did.
    ///
    /// What the file says anew is there before what it no longer says goes. Networks that stay as they were keep their keys
    /// and lose no packet.
    private func reload() -> (text: String, isGood: Bool) {
        let old = configuration
        let new: TunnelConfiguration
        do throws(TunnelFileError) {
            new = try TunnelFile.load(path: old.file)
            // The spawner has it.
            new.interface.identity?.giveUp()
        } catch {
            return (error.lines.joined(separator: "\n"), false)
        }
        let plan = ReloadPlan(from: old, to: new, servesKeys: servesKeys)
        guard plan.refusals.isEmpty else { return (plan.text, false) }
        guard !plan.lines.isEmpty else { return ("nothing changed", true) }
        do {
            let (before, _) = try Self.routes(name, old, nil)
            let (routes, mark) = try Self.routes(name, new, nil)
            guard mark == self.mark else {
                return ("the routes now need marked datagrams: run `weft down` and `weft up` to change that", false)
            }
            try datapath.updateRoutes(to: routes)
            do {
                // An endpoint that a peer roamed to stays, unless the file names another.
                try engine.apply(plan.changes.keepingEndpoints(of: engine, where: old))
            } catch {
                try? datapath.updateRoutes(to: before)
                throw error
            }
            try control?.reconfigure(new, tunnelled: routes.catchingAll, servesKeys: servesKeys)
        } catch {
            return ("\(error)", false)
        }
        replaceConfiguration(with: new)
        return (plan.lines.joined(separator: "\n"), true)
    }
}

extension NetworkChanges {
    /// The same changes, where networks whose endpoint the file doesn't move keep the one that they have.
    fileprivate func keepingEndpoints(of engine: Engine, where old: TunnelConfiguration) -> NetworkChanges {
        let now = Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.vni, $0.endpoint) })
        var kept = self
        for index in kept.changed.indices {
            let vni = kept.changed[index].vni
            guard let was = old.peers.first(where: { $0.vni == vni }), was.publicKey != nil,
                kept.changed[index].endpoint == was.endpoint
            else { continue }
            kept.changed[index].endpoint = now[vni] ?? nil
        }
        return kept
    }
}
