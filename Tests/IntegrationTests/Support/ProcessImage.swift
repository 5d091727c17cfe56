// SPDX-License-Identifier: Apache-2.0
import CWeftOpenSSL
import Foundation
import Glibc

/// All that a process could write to at one moment: heap, stacks, data, locked pages.
struct ProcessImage: Sendable {
    let process: pid_t
    let program: String
    private(set) var regions: [[UInt8]] = []

    init(of process: pid_t) throws {
        self.process = process
        program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")) ?? "?"
        let memory = unsafe open("/proc/\(process)/mem", O_RDONLY | O_CLOEXEC)
        guard memory >= 0 else { throw TestFailure("no memory of process \(process): \(lastError)") }
        defer { close(memory) }
        let maps = try String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard fields[1].hasPrefix("rw"), ends.count == 2 else { continue }
            read(memory, ends[0]..<ends[1])
        }
    }

    /// Reads a region without the pages that nobody has touched.
    private mutating func read(_ memory: Int32, _ range: Range<UInt64>) {
        let piece = 64 * 1024
        var bytes: [UInt8] = []
        var place = range.lowerBound
        var buffer = [UInt8](repeating: 0, count: piece)
        while place < range.upperBound {
            let wanted = min(piece, Int(range.upperBound - place))
            let got = unsafe pread(memory, &buffer, wanted, off_t(place))
            guard got > 0 else { break }
            // A key may lie across two pieces, but not across one of zeros.
            if buffer[..<got].contains(where: { $0 != 0 }) {
                bytes += buffer[..<got]
            } else if !bytes.isEmpty {
                regions.append(bytes)
                bytes = []
            }
            place += UInt64(got)
        }
        if !bytes.isEmpty { regions.append(bytes) }
    }

    /// Our programs that run on a host.
    static func all(on host: Host) throws -> [ProcessImage] {
        func network(of process: String) -> String? {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/net")
        }
        let home = network(of: "\(host.processIdentifier)")
        return try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { name -> ProcessImage? in
            guard let process = pid_t(name), network(of: name) == home,
                let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(name)/exe"),
                (program as NSString).lastPathComponent.hasPrefix("weft")
            else { return nil }
            return try ProcessImage(of: process)
        }
    }
}

/// Looks for AES-128 keys that open given datagrams, at each place of a memory.
///
/// A key's expanded schedule begins with the key, so that it is found by its schedules as well.
@safe
final class KeySearch {
    /// The first block of a datagram's sealed packet: what the cipher was given for it, and what came of it.
    struct Target: Sendable {
        let counter: [UInt8]
        let sealed: [UInt8]
        /// What is known of the plaintext: the value of some of its 16 bytes.
        let known: [Int: UInt8]
    }

    private let targets: [Target]
    private let context: OpaquePointer
    private let counters: [UInt8]
    private var blocks: [UInt8]

    init(_ targets: [Target]) throws {
        self.targets = targets
        counters = targets.flatMap(\.counter)
        blocks = [UInt8](repeating: 0, count: counters.count + 16)
        let made = unsafe EVP_CIPHER_CTX_new()
        guard let made = unsafe made, unsafe EVP_EncryptInit_ex(made, EVP_aes_128_ecb(), nil, nil, nil) == 1 else {
            throw TestFailure("no AES")
        }
        unsafe context = made
    }

    deinit { unsafe EVP_CIPHER_CTX_free(context) }

    /// Which targets the keys in a memory open.
    func find(in image: ProcessImage) -> Set<Int> {
        var found: Set<Int> = []
        for region in image.regions where region.count >= 16 {
            unsafe region.withUnsafeBytes { bytes in
                // Safe: each place has 16 bytes behind it.
                for place in 0...(bytes.count - 16) {
                    let low = unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                    guard low != 0 else { continue }
                    let high = unsafe bytes.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self)
                    guard Self.mayBeKey(low, high) else { continue }
                    unsafe found.formUnion(tryKey(UnsafeRawBufferPointer(rebasing: bytes[place..<place + 16])))
                }
            }
        }
        return found
    }

    /// Leaves out texts, numbers and addresses, and of random keys one in thousands.
    private static func mayBeKey(_ low: UInt64, _ high: UInt64) -> Bool {
        let tops: UInt64 = 0x8080_8080_8080_8080
        guard (low | high) & tops != 0 else { return false }
        func zeros(_ word: UInt64) -> Int {
            ((word &- 0x0101_0101_0101_0101) & ~word & tops).nonzeroBitCount
        }
        return zeros(low) + zeros(high) <= 3
    }

    private func tryKey(_ key: UnsafeRawBufferPointer) -> [Int] {
        var written: Int32 = 0
        // Safe: the key has 16 bytes, and a block more than is written fits.
        guard
            unsafe EVP_EncryptInit_ex(
                context, nil, nil, key.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) == 1,
            unsafe EVP_EncryptUpdate(context, &blocks, &written, counters, Int32(counters.count)) == 1
        else { return [] }
        return targets.indices.filter { index in
            targets[index].known.allSatisfy { blocks[index * 16 + $0.key] ^ targets[index].sealed[$0.key] == $0.value }
        }
    }
}
