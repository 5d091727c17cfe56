// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftControl

struct SecretBytesTests {
    @Test(arguments: [0, 1, 16, 64, 4095, 4096, 4097])
    func holdsWhatWasCopied(_ count: Int) {
        let source = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let secret = SecretBytes(copying: source.span)
        #expect(secret.count == count)
        #expect(secret.exposed == source)
    }

    @Test func startsAsZerosAndTakesNegativeForNothing() {
        let zeros = SecretBytes(count: 5) { _ in }
        #expect(zeros.exposed == [0, 0, 0, 0, 0])
        let nothing = SecretBytes(count: -1) { bytes in #expect(bytes.count == 0) }
        #expect(nothing.count == 0)
    }

    @Test func passesTheFillersErrorOn() {
        #expect(throws: IdentityError.notPEM) {
            _ = try SecretBytes(count: 3) { bytes throws(IdentityError) in
                bytes[0] = 1
                throw .notPEM
            }
        }
    }

    private func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        SecretBytes(copying: left.span).isEqual(to: SecretBytes(copying: right.span))
    }

    @Test func comparesLengthAndEveryByte() {
        let source = [UInt8](0..<32)
        #expect(areEqual(source, source))
        #expect(areEqual([], []))
        #expect(!areEqual(source, source.dropLast()))
        #expect(!areEqual(source.dropLast(), source))
        for index in source.indices {
            var changed = source
            changed[index] ^= 0x80
            #expect(!areEqual(source, changed), "byte \(index)")
        }
    }

    /// The flags that the kernel keeps for the mapping that holds an address.
    private func kernelFlags(at address: UInt) throws -> [Substring] {
        var holdsAddress = false
        // Reading it as a String by path would stop after the kernel's first portion.
        let maps = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/smaps")).readToEnd() ?? Data()
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
            let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            if bounds.count == 2 { holdsAddress = (bounds[0]..<bounds[1]).contains(address) }
            if holdsAddress, line.hasPrefix("VmFlags:") { return line.split(separator: " ").dropFirst().map { $0 } }
        }
        return []
    }

    private func address(of secret: borrowing SecretBytes) -> UInt {
        unsafe secret.span.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }

    @Test func pagesStayOutOfDumps() throws {
        let secret = SecretBytes(copying: [1, 2, 3].span)
        // "dd": don't dump. "lo", locked, may be forbidden by RLIMIT_MEMLOCK, so that it isn't asked for here.
        #expect(try kernelFlags(at: address(of: secret)).contains("dd"))
        _ = secret.count
    }
}
