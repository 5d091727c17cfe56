// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft
import WeftCommand
import WeftConfig
import WeftFiles
import WeftLink

extension WeftNode: AdminServer.Tunnel {
    func statusText(listingNetworks: Bool) -> String { JSON.text(status(listingNetworks: listingNetworks)) }

    /// Relative paths are meant from where the command was started, and it never goes anywhere else.
    var filePath: String {
        let path = configuration.file
        var folder = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard !path.hasPrefix("/"), unsafe getcwd(&folder, folder.count) != nil else { return path }
        return String(decoding: folder.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/" + path
    }

    /// What another file would change, read from what another process opened; the reasons if it's a bad file.
    func plan(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool) {
        do throws(TunnelFileError) {
            var new = try file.read(trusting: trust)
            new.interface.identity?.giveUp()
            new.keepNetworks(of: configuration)
            let plan = ReloadPlan(from: configuration, to: new, servesKeys: servesKeys)
            return (plan.text, plan.refusals.isEmpty)
        } catch {
            return (error.lines.joined(separator: "\n"), false)
        }
    }

    /// Applies its file, read from what another process opened, one request after the other, and logs what came of it.
    func reload(_ file: OpenTunnelFile, trusting trust: FileTrust) -> (text: String, isGood: Bool) {
        logged { () throws(TunnelFileError) in
            // Whatever the other process calls it: it stays the file that it was.
            try OpenTunnelFile(path: configuration.file, file: file.file, named: file.named)
                .read(trusting: trust)
        }
    }

    /// Applies its file if this process may read it, and else logs what to run instead.
    package func reload() {
        let outcome = logged { () throws(TunnelFileError) in try TunnelFile.load(path: configuration.file) }
        if !outcome.isGood { log.info("`weft reload \(name)` lets the tunnel apply what its caller may read") }
    }

    private func logged(
        _ read: () throws(TunnelFileError) -> TunnelConfiguration
    ) -> (text: String, isGood: Bool) {
        reloading.withLock { _ in
            let outcome = apply(read)
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
    private func apply(
        _ read: () throws(TunnelFileError) -> TunnelConfiguration
    ) -> (text: String, isGood: Bool) {
        let old = configuration
        var new: TunnelConfiguration
        do throws(TunnelFileError) {
            new = try read()
            // The spawner has it.
            new.interface.identity?.giveUp()
            new.keepNetworks(of: old)
        } catch {
            return (error.lines.joined(separator: "\n"), false)
        }
        let plan = ReloadPlan(from: old, to: new, servesKeys: servesKeys)
        guard plan.refusals.isEmpty else { return (plan.text, false) }
        guard !plan.lines.isEmpty else { return ("nothing changed", true) }
        do {
            let (before, _) = try Self.routes(old, driver)
            let (routes, mark) = try Self.routes(new, driver)
            guard mark == self.mark else {
                return ("the routes now need marked datagrams: run `weft down` and `weft up` to change that", false)
            }
            try lead(routes)
            do {
                // An endpoint that a peer roamed to stays, unless the file names another.
                try engine.apply(plan.changes.keepingEndpoints(of: engine, where: old))
            } catch {
                try? lead(before)
                throw error
            }
            gate?.setAnswersStrangers(new.answersStrangers(servesKeys: servesKeys))
            paths?.follow(new, tunnelled: routes.catchingAll)
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
        let now = Dictionary(uniqueKeysWithValues: engine.networks().map { ($0.id, $0) })
        var kept = self
        for index in kept.changed.indices {
            let id = kept.changed[index].id
            // A name says where only once it was looked up, and who calls us is where he is.
            guard let was = old.peers.first(where: { $0.network == id }), was.publicKey != nil,
                kept.changed[index].endpoint == was.endpoint || kept.changed[index].endpoint == nil
            else { continue }
            kept.changed[index].endpoint = now[id]?.endpoint
            kept.changed[index].localAddress = now[id]?.localAddress
        }
        return kept
    }
}
