// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import WeftLink

/// Writes a kernel setting of the thread's network namespace.
func setSysctl(_ path: String, to value: Int) throws {
    try "\(value)".write(toFile: "/proc/sys/\(path)", atomically: false, encoding: .utf8)
}

struct ReversePathFilterTests {
    /// Settings as (rp_filter, src_valid_mark), for "all" and for eth0.
    @Test(arguments: [
        (all: (0, 0), eth0: (0, 0), strict: false), (all: (0, 0), eth0: (1, 0), strict: true),
        (all: (1, 0), eth0: (0, 0), strict: true), (all: (1, 0), eth0: (2, 0), strict: false),
        (all: (2, 0), eth0: (1, 0), strict: false), (all: (1, 1), eth0: (1, 0), strict: true),
        (all: (1, 0), eth0: (1, 1), strict: true),
    ])
    func findsStrictInterfaces(all: (Int, Int), eth0: (Int, Int), strict: Bool) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, values) in [("all", all), ("default", (1, 0)), ("lo", (1, 0)), ("tunnel", (1, 0)), ("eth0", eth0)] {
            let interface = directory.appendingPathComponent(name)
            try FileManager.default.createDirectory(at: interface, withIntermediateDirectories: true)
            try Data("\(values.0)\n".utf8).write(to: interface.appendingPathComponent("rp_filter"))
            try Data("\(values.1)\n".utf8).write(to: interface.appendingPathComponent("src_valid_mark"))
        }
        let found = ReversePathFilter.strictInterfaces(in: directory.path, except: "tunnel")
        #expect(found == (strict ? ["eth0"] : []))
        let warning = ReversePathFilter.warning(in: directory.path, except: "tunnel")
        #expect((warning != nil) == strict)
        #expect(warning?.contains("on eth0 drops") != false)
        #expect(warning?.hasSuffix("set net.ipv4.conf.eth0.rp_filter to 2") != false)
    }

    @Test func findsNothingWithoutSettings() {
        #expect(ReversePathFilter.strictInterfaces(in: "/nonexistent").isEmpty)
    }

    @Test(.enabled(if: isRoot, "needs root, for a network namespace of its own"))
    func readsTheKernelsSettings() throws {
        try inNewNamespace {
            try makeInterfaces()
            try setSysctl("net/ipv4/conf/all/rp_filter", to: 0)
            try setSysctl("net/ipv4/conf/all/src_valid_mark", to: 0)
            for name in ["far", "wire"] { try setSysctl("net/ipv4/conf/\(name)/rp_filter", to: 2) }
            for name in ["tunnel", "underlay"] { try setSysctl("net/ipv4/conf/\(name)/rp_filter", to: 1) }
            #expect(ReversePathFilter.strictInterfaces(except: "tunnel") == ["underlay"])
        }
    }
}
