// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import Weft

/// A resolver on this host's loopback device, at a port of its own. It answers while it lives.
package final class DNSServer: Sendable {
    package enum Answer: Sendable {
        case addresses([IPAddress])
        case silence
        case code(UInt8)
        /// Bytes behind the question's, as they are.
        case nonsense([UInt8])
        /// As many addresses as fit, marked as cut off.
        case truncated([IPAddress])
        /// Cut off in datagrams, without any address; whole by a stream.
        case long([IPAddress])
        /// The name stands for another one, that for the next, and the last for addresses.
        case aliases([String], [IPAddress])
        /// Nobody asked so: another number.
        case forged([IPAddress])
    }

    package let port: UInt16
    private let descriptor: FileDescriptor
    private let file: String?
    private let isClosing = Atomic(false)
    var isClosed: Bool { isClosing.load(ordering: .acquiring) }
    package let zone: Mutex<[String: Answer]>
    /// The names that were asked for.
    package let asked = Mutex<[String]>([])

    /// - Parameter file: knows the names that the zone doesn't: lines with an address and a name each, read at each question.
    package init(
        _ zone: [String: Answer] = [:], file: String? = nil, at address: String = "127.0.0.1", port wanted: UInt16 = 0
    ) throws {
        self.zone = Mutex(zone)
        self.file = file
        let raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        descriptor = FileDescriptor(owning: raw)
        var patience = timeval(tv_sec: 0, tv_usec: 20_000)
        _ = unsafe setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var own = sockaddr_in()
        own.sin_family = sa_family_t(AF_INET)
        own.sin_port = wanted.bigEndian
        own.sin_addr.s_addr = unsafe inet_addr(address)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &own) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(raw, $0, size) == 0 ? getsockname(raw, $0, &size) : -1
            }
        }
        guard status == 0 else { throw TransportError("be a resolver", code: errno) }
        port = UInt16(bigEndian: own.sin_port)
    }

    package var raw: Int32 { descriptor.raw }

    package func close() { isClosing.store(true, ordering: .releasing) }

    /// Answers until ``close()``, in the caller's thread.
    package func run() {
        var buffer = [UInt8](repeating: 0, count: 2048)
        while !isClosing.load(ordering: .acquiring) {
            var source = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = unsafe withUnsafeMutablePointer(to: &source) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(descriptor.raw, &buffer, buffer.count, 0, $0, &size)
                }
            }
            guard count > 12, let reply = answer(Array(buffer[..<count]), isStream: false) else { continue }
            _ = unsafe withUnsafePointer(to: source) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe sendto(descriptor.raw, reply, reply.count, 0, $0, size)
                }
            }
        }
    }

    /// - Parameter isStream: whether it came by a stream.
    func answer(_ question: [UInt8], isStream: Bool) -> [UInt8]? {
        var labels: [String] = []
        var at = 12
        while at < question.count, question[at] != 0, at + 1 + Int(question[at]) < question.count {
            labels.append(String(decoding: question[at + 1...at + Int(question[at])], as: UTF8.self))
            at += 1 + Int(question[at])
        }
        guard at + 4 < question.count else { return nil }
        let name = labels.joined(separator: ".").lowercased()
        asked.withLock { $0.append(name) }
        let family: IPAddress.Family = question[at + 2] == 28 ? .v6 : .v4
        func reply(
            _ number: ArraySlice<UInt8>, _ code: UInt8, _ addresses: [IPAddress], isCut: Bool = false,
            aliases: [String] = []
        ) -> [UInt8] {
            let records = addresses.filter { $0.family == family }
            let count = UInt8(aliases.count + records.count)
            var bytes = Array(number) + [isCut ? 0x83 : 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]
            bytes += question[12...at + 4]
            // The question's name.
            var owner: [UInt8] = [0xC0, 12]
            func add(_ type: UInt8, _ data: [UInt8]) {
                // Type, class, time to live, length.
                bytes += owner + [0, type, 0, 1, 0, 0, 0, 77, 0, UInt8(data.count)] + data
            }
            for alias in aliases {
                var name: [UInt8] = []
                for label in alias.split(separator: ".") { name += [UInt8(label.utf8.count)] + label.utf8 }
                name.append(0)
                add(5, name)
                owner = name
            }
            for record in records { add(family == .v6 ? 28 : 1, record.bytes) }
            return bytes
        }
        switch zone.withLock({ $0[name] }) ?? addresses(inFileFor: name) {
        case .addresses(let addresses): return reply(question[0...1], 0, addresses)
        case .long(let addresses):
            return reply(question[0...1], 0, isStream ? addresses : [], isCut: !isStream)
        case .truncated(let addresses): return reply(question[0...1], 0, addresses, isCut: true)
        case .aliases(let names, let addresses): return reply(question[0...1], 0, addresses, aliases: names)
        case .forged(let addresses): return reply([question[0] ^ 1, question[1]], 0, addresses)
        case .code(let code): return reply(question[0...1], code, [])
        case .nonsense(let bytes): return Array(question[0...1]) + bytes
        case .silence: return nil
        case nil: return reply(question[0...1], 3, [])
        }
    }

    private func addresses(inFileFor name: String) -> Answer? {
        guard let text = file.flatMap({ try? String(contentsOfFile: $0, encoding: .utf8) }) else { return nil }
        let addresses = text.split(separator: "\n").compactMap { line -> IPAddress? in
            let words = line.split(separator: " ")
            return words.count == 2 && words[1] == name ? IPAddress(String(words[0])) : nil
        }
        return addresses.isEmpty ? nil : .addresses(addresses)
    }
}
