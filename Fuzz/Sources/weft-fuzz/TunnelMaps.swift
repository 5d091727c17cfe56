// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Weft
@testable import WeftEtcd
@testable import WeftTunnelMap

/// Probes as anyone may send them. The tag is made good, or nothing behind it would ever be reached.
enum Probes {
    static func run(_ input: RawSpan) {
        let fleet = FleetKey(copying: [UInt8](repeating: 7, count: FleetKey.byteCount).span)
        let keys = ProbeKeys(fleet)
        let signer = FleetKey(copying: [UInt8](repeating: 7, count: FleetKey.byteCount).span)
        var bytes = input.array()
        check(ProbeMessage(bytes, keys) == nil, "a tag by chance")
        guard bytes.count == ProbeMessage.byteCount else { return }
        // The first version's tag can be made good for any names.
        bytes[4] = ProbeMessage.Version.fleet.rawValue
        let signed = ProbeMessage.byteCount - FleetKey.tagByteCount
        guard let tag = signer.tag(over: bytes.span.extracting(..<signed)) else { return }
        bytes.replaceSubrange(signed..., with: tag)
        check(ProbeMessage(bytes, keys, allowing: [.pairs]) == nil, "of a version that isn't taken")
        guard let message = ProbeMessage(bytes, keys) else { return }
        check(message.encoded(keys) == bytes, "comes back as another")
    }

    static func seeds() -> [[UInt8]] {
        let keys = ProbeKeys(FleetKey(copying: [UInt8](repeating: 8, count: FleetKey.byteCount).span))
        var random = SystemRandomNumberGenerator()
        return [ProbeMessage.Kind.probe, .answer].flatMap { kind in
            [ProbeMessage.Version.fleet, .pairs].compactMap { version in
                ProbeMessage(kind, version, from: "here", to: "there", nonce: ProbeMessage.Nonce(&random), time: 1)
                    .encoded(keys)
            }
        }
    }
}

/// The file of a tunnel map.
enum MapFiles {
    static func run(_ input: RawSpan) {
        do throws(MapFileError) {
            let file = try MapFile.parse(Data(input.array()), place: "file")
            for entry in file.entries { check(entry.flaw == nil || entry.nexthops.count != 1, "\(entry)") }
        } catch {
            check(!error.message.isEmpty, "an error without a word")
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            #"{"interface":"o","local":["192.0.2.1"],"devices":{"vxlan":"v"},"prefixes":[{"prefix":"10.0.0.0/8","#
                + #""nexthops":[{"remote":"192.0.2.2","vni":7,"weight":2,"peer":"b"}],"neverInTheClear":true}]}"#,
            #"{"interface":"o","fleet":{"protocols":["vxlan"],"interfaces":["v"],"senders":false},"verifySources":true}"#,
            #"{"interface":"o","key":"k","peers":{"b":{"probe":"fd00::1"}},"health":{"threshold":3},"#
                + #""announce":{"prefixes":["10.0.0.0/8"],"weight":1},"decapsulate":["e"],"capacity":5}"#,
        ].map { Array($0.utf8) }
    }
}

/// Values in etcd: an agent's and a prefix's, cut at the first NUL.
enum FleetValues {
    static func run(_ input: RawSpan) {
        let parts = input.array().split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        var fleet = Fleet(root: "/")
        try? fleet.put("/agents/b", Array(parts[0]))
        try? fleet.put("/prefixes/10.0.0.0/8", Array(parts.count > 1 ? parts[1] : []))
        guard let file = try? MapFile.parse(Data(#"{"interface":"o","devices":{"vxlan":"v"}}"#.utf8), place: "") else {
            return
        }
        let wish = fleet.wish(of: file, at: Instant(nanoseconds: 1)) { _ in true }
        for entry in wish.entries { check(entry.flaw == nil, "\(entry)") }
        check(Set(wish.entries.map(\.prefix)).count == wish.entries.count, "a prefix twice")
    }

    static func seeds() -> [[UInt8]] {
        let agent =
            #"{"remote":["192.0.2.2"],"probe":"192.0.2.2","vni":7,"protocol":"vxlan","prefixes":{"10.1.0.0/16":1}}"#
        return [Array(agent.utf8) + [0] + Array(#"{"nexthops":[{"peer":"b","weight":3}],"neverInTheClear":true}"#.utf8)]
    }
}

/// A watch's stream, in pieces as the first byte says.
enum EtcdWatches {
    static func run(_ input: RawSpan) {
        let bytes = input.array(from: 1)
        let piece = max(1, Int(input.control(0)))
        let position = EtcdClient.Position(cluster: 0, revision: 0)
        var stream = WatchStream(after: position)
        var whole = WatchStream(after: position)
        var found: [WatchStream.Batch] = []
        var failure: EtcdError?
        for start in stride(from: 0, to: bytes.count, by: piece) where failure == nil {
            do throws(EtcdError) {
                found += try stream.take(Array(bytes[start..<min(start + piece, bytes.count)]))
            } catch {
                failure = error
            }
        }
        do throws(EtcdError) {
            let batches = try whole.take(bytes)
            check(failure == nil && batches == found, "cut into pieces it says something else")
        } catch {
            check(failure == error, "cut into pieces it fails in another way")
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            #"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"YQ==","value":"Yg=="}},{"type":"DELETE","kv":{"key":"YQ=="}}]}}"#,
            #"{"result":{"canceled":true,"compact_revision":"5"}}"#,
        ].map { [20] + Array($0.utf8) + [10] }
    }
}
