// SPDX-License-Identifier: Apache-2.0
import CWeftBPF
import Foundation
import Glibc
import Testing
import Weft

@testable import WeftTunnelMap

/// Runs `body` on a thread with a network and mounts of its own, which go with the thread, and with two interfaces.
private func inOwnNamespaces(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        Thread {
            continuation.resume(
                with: Result {
                    // Declared for _GNU_SOURCE only. SAFETY: the type is that of its declaration.
                    let unshare = unsafe unsafeBitCast(
                        try #require(dlsym(nil, "unshare")), to: (@convention(c) (_ flags: Int32) -> Int32).self)
                    // CLONE_NEWNET and CLONE_NEWNS.
                    try #require(unshare(0x4000_0000 | 0x2_0000) == 0)
                    // MS_REC and MS_PRIVATE: nothing that is mounted here is seen outside.
                    try #require(unsafe mount("none", "/", nil, 0x4000 | 0x4_0000, nil) == 0)
                    try #require(unsafe mount("tmpfs", "/run", "tmpfs", 0, nil) == 0)
                    for name in ["overlay", "other"] {
                        try #require(unsafe system("ip link add \(name) type ifb && ip link set \(name) up") == 0)
                    }
                    try body()
                })
        }.start()
    }
}

@Suite(.enabled(if: isRoot, "loading an eBPF program needs root"), .serialized)
struct PinTests {
    private static func entry() throws -> TunnelMapEntry {
        TunnelMapEntry(prefix: try ClassifierTests.prefix("10.1.0.0/16"), nexthops: [ClassifierTests.nexthop(1)])
    }

    private static func options(_ hook: TunnelMap.Hook, layout: Int = 1) -> TunnelMap.Options {
        var options = TunnelMap.Options(name: "test-\(getpid())")
        options.hook = hook
        options.layout = layout
        options.capacity = 64
        return options
    }

    /// What is attached to the overlay, by the kernel's own account.
    private static func program(_ interface: String) throws -> [UInt32] {
        var numbers = [UInt32](repeating: 0, count: 16)
        var count = UInt32(numbers.count)
        let index = unsafe if_nametoindex(interface)
        let status = unsafe bpf_prog_query(
            Int32(index), Attachment.Direction.egress.tcx, 0, nil, &numbers, &count)
        let filter = Attachment.clsactProgram(Attachment.Place(interface: index, direction: .egress))
        return (status == 0 ? Array(numbers.prefix(Int(count))) : []) + (filter.map { [$0] } ?? [])
    }

    @Test(arguments: [TunnelMap.Hook.tcx, .clsact])
    func outlivesItsLoaderAndIsTakenOver(_ hook: TunnelMap.Hook) async throws {
        try await inOwnNamespaces {
            do {
                let first = try TunnelMap.load(Self.options(hook))
                #expect(first.origin == .new)
                try first.reconcile([Self.entry()], probed: ["peer1"])
                try first.setHealth(of: "peer1", to: true)
                #expect(try first.isAttached(to: "overlay") == false)
                try first.attach(to: "overlay")
                #expect(try first.isAttached(to: "overlay") && first.isAttached(to: "other") == false)
            }
            let old = try Self.program("overlay")
            #expect(old.count == 1)
            let second = try TunnelMap.load(Self.options(hook))
            #expect(second.origin == .takenOver && second.list().count == 1)
            #expect(second.peers().first?.isHealthy == true && second.peers().first?.isProbed == true)
            #expect(try second.reconcile([Self.entry()], probed: ["peer1"]) == TunnelMapChanges())
            #expect(try Self.program("overlay") == old)
            try second.attach(to: "overlay")
            let new = try Self.program("overlay")
            #expect(new.count == 1 && new != old)

            // Somebody else's is left alone.
            let stranger = try TunnelMap.load(TunnelMap.Options(name: nil))
            try stranger.attach(to: "overlay")
            try stranger.attach(to: "other")
            let theirs = try Self.program("other")
            #expect(try Self.program("overlay").count == 2)
            second.close()
            #expect(try Self.program("overlay") == theirs && Self.program("other") == theirs)
            #expect(throws: TunnelMapError.self) { try TunnelMap.open(name: Self.options(hook).name ?? "") }
            stranger.close()
            #expect(try Self.program("overlay").isEmpty && Self.program("other").isEmpty)
        }
    }

    @Test(arguments: [TunnelMap.Hook.tcx, .clsact])
    func anotherLayoutIsSwappedIn(_ hook: TunnelMap.Hook) async throws {
        try await inOwnNamespaces {
            let first = try TunnelMap.load(Self.options(hook, layout: 7))
            try first.reconcile([Self.entry()])
            try first.attach(to: "overlay")
            let old = try Self.program("overlay")
            let second = try TunnelMap.load(Self.options(hook, layout: 8))
            #expect(second.origin == .replacing(layout: 7) && second.list().isEmpty)
            // The old one forwards until we are ready.
            #expect(try Self.program("overlay") == old)
            try second.reconcile([Self.entry()])
            try second.attach(to: "overlay")
            let new = try Self.program("overlay")
            #expect(new.count == 1 && new != old)
            second.removeOtherLayouts()
            #expect(second.pins?.otherLayouts().isEmpty == true)
            second.close()
            #expect(try Self.program("overlay").isEmpty)
        }
    }

    @Test func refusesWhatCannotWork() async throws {
        try await inOwnNamespaces {
            #expect(throws: TunnelMapError.badName("a.b")) { try TunnelMap.load(TunnelMap.Options(name: "a.b")) }
            #expect(throws: TunnelMapError.notLoaded(name: "nobody")) { try TunnelMap.open(name: "nobody") }
            let map = try TunnelMap.load(Self.options(.automatic))
            #expect(throws: TunnelMapError.noInterface("no-such")) { try map.attach(to: "no-such") }
            // Loopback has Ethernet headers, but is of another kind.
            #expect(throws: TunnelMapError.notEthernet("lo")) { try map.attach(to: "lo") }
            map.close()
        }
    }

    @Test func attachesAgainWhereTheInterfaceIsNew() async throws {
        try await inOwnNamespaces {
            let map = try TunnelMap.load(Self.options(.automatic))
            try map.attach(to: "overlay")
            try #require(unsafe system("ip link del overlay && ip link add overlay type ifb") == 0)
            #expect(try map.isAttached(to: "overlay") == false)
            try map.attach(to: "overlay")
            #expect(try map.isAttached(to: "overlay") && Self.program("overlay").count == 1)
            map.close()
        }
    }
}
