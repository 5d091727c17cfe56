// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Testing
import Weft
import WeftLink

@testable import WeftXDP
@testable import WeftNode
@testable import weft

extension Integration {
    @Suite("AF_XDP and frames that are wrong")
    struct XDPFrames {
        /// What a frame must cost, or bring.
        private enum Effect {
            case opened, openedByKernel
            case dropped(DropReason)
            case droppedByKernelPath(DropReason)
            /// The kernel's own affair, of which the tunnel hears nothing.
            case none
        }

        private struct Case {
            let name: String
            var frame = UnderlayFrame()
            var change: @Sendable (inout [UInt8]) -> Void = { _ in }
            var cut: Int?
            let effect: Effect
        }

        private static func frame(_ change: (inout UnderlayFrame) -> Void) -> UnderlayFrame {
            var frame = UnderlayFrame()
            change(&frame)
            return frame
        }

        private static let cases: [Case] = [
            Case(name: "as it should be", effect: .opened),
            Case(name: "with IPv4 options", frame: frame { $0.options = [1, 1, 1, 0] }, effect: .opened),
            Case(name: "padded", frame: frame { $0.padding = 11 }, effect: .opened),
            Case(
                name: "over IPv6",
                frame: frame {
                    $0.source = [0xFD] + [UInt8](repeating: 0, count: 14) + [2]
                    $0.destination = [0xFD] + [UInt8](repeating: 0, count: 14) + [1]
                }, effect: .opened),
            Case(name: "in fragments", frame: frame { $0.fragmentSize = 64 }, effect: .openedByKernel),
            Case(name: "tagged", frame: frame { $0.tag = [0x81, 0, 0, 5] }, effect: .none),
            Case(name: "to another port", frame: frame { $0.port = 6082 }, effect: .none),
            Case(name: "to another address", frame: frame { $0.destination = [192, 0, 2, 9] }, effect: .none),
            Case(
                name: "with a wrong header checksum", frame: frame { $0.wrongChecksum = 1 },
                effect: .dropped(.outerChecksum)),
            Case(
                name: "longer in IP than it is", frame: frame { $0.wrongTotalLength = 1 },
                effect: .dropped(.outerMalformed)),
            Case(
                name: "shorter in UDP than in IP", frame: frame { $0.wrongUDPLength = -1 },
                effect: .dropped(.outerMalformed)),
            Case(name: "of another version", change: { $0[0] |= 0x40 }, effect: .droppedByKernelPath(.controlNotTaken)),
            Case(name: "a control message", change: { $0[1] |= 0x80 }, effect: .droppedByKernelPath(.geneveControl)),
            Case(
                name: "of another protocol", change: { $0[2] = 0x65 },
                effect: .droppedByKernelPath(.authenticationFailed)),
            Case(
                name: "with a critical option", change: { $0[10] = 0x90 }, effect: .dropped(.geneveCriticalOption)),
            Case(name: "of an unknown network", change: { $0[6] = 99 }, effect: .dropped(.unknownVNI)),
            Case(name: "altered", change: { $0[40] ^= 1 }, effect: .dropped(.authenticationFailed)),
            Case(name: "cut within Ethernet", cut: 13, effect: .none),
            Case(name: "cut within IP", cut: 30, effect: .none),
            Case(name: "cut within UDP", cut: 40, effect: .none),
            Case(name: "cut within Geneve", cut: 14 + 20 + 8 + 7, effect: .none),
            Case(name: "cut within the options", cut: 14 + 20 + 8 + 16, effect: .dropped(.outerMalformed)),
        ]

        @Test("Each kind of frame has its effect, and no other")
        func shapes() async throws {
            let hosts = try await HostPair()
            var files = TunnelText.pair()
            files.left.moreOfInterface = ["Driver = xdp"]
            try hosts.left.write(files.left)
            try await hosts.left.up()
            let output = try await hosts.right.inNetwork { try PacketSocket("underlay") }
            var sealer = try Sealer(files.right)
            for item in Self.cases {
                var datagram = try sealer.datagram()
                item.change(&datagram)
                let before = try await hosts.left.status()
                for frame in item.frame.frames(datagram) { output.send(Array(frame.prefix(item.cut ?? .max))) }
                // Another one that is fine says when the first has been through.
                try await Task.sleep(for: .milliseconds(20))
                output.send(try UnderlayFrame().frames(sealer.datagram())[0])
                try await eventually("the packet behind one that is \(item.name)", within: 5) {
                    let now = try await hosts.left.status().totals.rx.packets - before.totals.rx.packets
                    switch item.effect {
                    case .opened, .openedByKernel: return now >= 2
                    default: return now >= 1
                    }
                }
                try expect(item.effect, item.name, from: before, to: await hosts.left.status())
            }
        }

        private func expect(_ effect: Effect, _ name: String, from before: Status, to after: Status) throws {
            let opened = after.totals.rx.packets - before.totals.rx.packets - 1
            let fromKernel = (after.driverCounters["fromKernel"] ?? 0) - (before.driverCounters["fromKernel"] ?? 0)
            let dropped = DropReason.allCases.filter { !$0.isFromOverlay && after.drops($0) > before.drops($0) }
            switch effect {
            case .opened: #expect(opened == 1 && fromKernel == 0 && dropped == [], "\(name)")
            case .openedByKernel: #expect(opened == 1 && fromKernel == 1 && dropped == [], "\(name)")
            case .dropped(let reason): #expect(opened == 0 && fromKernel == 0 && dropped == [reason], "\(name)")
            case .droppedByKernelPath(let reason):
                #expect(opened == 0 && fromKernel == 1 && dropped == [reason], "\(name)")
            case .none: #expect(opened == 0 && fromKernel == 0 && dropped == [], "\(name): \(dropped)")
            }
            #expect(after.processID == before.processID)
            expectFramesAccounted(after)
        }

        @Test("A frame for a queue without a socket is dropped and counted", arguments: XDPOptions.Attachment.allCases)
        func noSocket(mode: XDPOptions.Attachment) async throws {
            let hosts = try await HostPair()
            let (program, attachments) = try await hosts.left.inNetwork {
                let program = try XDPProgram(port: 6081, longest: 1600)
                try program.setAddresses([try IPAddress("192.0.2.1").orFail(), try IPAddress("fd00::1").orFail()])
                let index = Int32(bitPattern: unsafe if_nametoindex("underlay"))
                return (program, [try program.attach(.underlay, to: index, name: "underlay", mode)])
            }
            #expect(attachments[0].mode == mode)
            let output = try await hosts.right.inNetwork { try PacketSocket("underlay") }
            var sealer = try Sealer(TunnelText.pair().right)
            let datagram = try sealer.datagram()
            output.send(UnderlayFrame().frames(datagram)[0])
            output.send(Self.frame { $0.port = 6082 }.frames(datagram)[0])
            output.send(Self.frame { $0.tag = [0x81, 0, 0, 5] }.frames(datagram)[0])
            output.send(UnderlayFrame().frames(datagram)[0])
            try await eventually("two drops") { program.count(of: .underlayNoSocket) == 2 }
            try program.setAddresses([])
            output.send(UnderlayFrame().frames(datagram)[0])
            try await Task.sleep(for: .milliseconds(50))
            #expect(program.count(of: .underlayNoSocket) == 2)
            #expect(try await hosts.left.pings("192.0.2.2"))
        }

        @Test("A tagged frame reaches the tunnel through the kernel's own VLAN device")
        func tagged() async throws {
            let hosts = try await HostPair()
            let made = try await hosts.left.attempt([
                "ip", "link", "add", "link", "underlay", "name", "tagged", "type", "vlan", "id", "5",
            ])
            if made.status != 0 { try Test.cancel("this kernel has no VLAN devices: \(made.standardError)") }
            try await hosts.left.shell("ip link set tagged up; ip address add 192.0.3.1/30 dev tagged")
            var files = TunnelText.pair()
            files.left.moreOfInterface = ["Driver = xdp"]
            try hosts.left.write(files.left)
            try await hosts.left.up()
            let output = try await hosts.right.inNetwork { try PacketSocket("underlay") }
            var sealer = try Sealer(files.right)
            var frame = UnderlayFrame()
            frame.tag = [0x81, 0, 0, 5]
            frame.source = [192, 0, 3, 2]
            frame.destination = [192, 0, 3, 1]
            output.send(frame.frames(try sealer.datagram())[0])
            try await eventually("the datagram") { try await hosts.left.status().totals.rx.packets == 1 }
            #expect(try await hosts.left.status().driverCounters["fromKernel"] == 1)
        }

        /// Frames that pass in the test below: a million with WEFT_EXHAUSTIVE.
        private static let frames: UInt64 =
            ProcessInfo.processInfo.environment["WEFT_EXHAUSTIVE"] == nil ? 50_000 : 1_000_000

        @Test("After many frames with drops on every path no frame of the UMEM is missing", .timeLimit(.minutes(5)))
        func noFrameIsLost() async throws {
            let hosts = try await HostPair()
            let files = TunnelText.pair()
            let seed = UInt64.random(in: 0 ... .max)
            let running = try await hosts.left.inNetwork { try LossyDatapath(files.left, seed: seed) }
            let underlay = try await hosts.right.inNetwork { try PacketSocket("underlay") }
            let overlay = try await hosts.left.inNetwork { try PacketSocket("weft0") }
            // A frame that the host's end sends: whole, and to a peer.
            let inner: [UInt8] = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]
            let request = [UInt8](repeating: 0xFF, count: 12) + [8, 0] + inner + [UInt8](repeating: 0, count: 8)

            let senders = Senders()
            senders.start { overlay.send(request) }
            let sealer = Mutex<Sealer>(try Sealer(files.right))
            senders.start {
                guard var frame = try? sealer.withLock({ try UnderlayFrame().frames($0.datagram())[0] }) else {
                    return
                }
                // Some are broken somewhere, some are cut.
                switch UInt8.random(in: 0...9) {
                case 0: frame[Int.random(in: 0..<frame.count)] ^= 1 << UInt8.random(in: 0...7)
                case 1: frame = Array(frame.prefix(Int.random(in: 14...frame.count)))
                default: break
                }
                underlay.send(frame)
            }
            var round = 0
            while running.moved < Self.frames {
                try await Task.sleep(for: .milliseconds(300))
                switch round % 5 {
                case 1: try await hosts.left.shell("ip link set underlay down; sleep 0.05; ip link set underlay up")
                case 3: try await hosts.left.shell("ip link set weft0-x down; sleep 0.05; ip link set weft0-x up")
                default: break
                }
                round += 1
                #expect(running.failure == nil, "seed \(seed): \(running.failure ?? "")")
                if running.failure != nil { break }
            }
            senders.stop()
            try await eventually("rings that have come to rest, seed \(seed)", within: 20) {
                running.datapath.counters["umemFramesInFlight"] == 0
            }
            let counters = running.datapath.counters
            #expect(counters["umemFramesAccounted"] == counters["umemFrames"], "seed \(seed): \(counters)")
            let totals = running.engine.totals()
            #expect(totals.toOverlay > 0 && totals.toUnderlay > 0, "\(totals)")
            running.stop()
            #expect(running.failure == nil)
        }

        /// Threads that send until they are stopped.
        private final class Senders: Sendable {
            private let isStopped = Atomic(false)

            func start(_ send: @escaping @Sendable () -> Void) {
                Thread { [self] in
                    while !isStopped.load(ordering: .relaxed) { send() }
                }.start()
            }

            func stop() { isStopped.store(true, ordering: .relaxed) }
        }
    }
}
