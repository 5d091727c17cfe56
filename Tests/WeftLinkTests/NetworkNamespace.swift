// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// Tests that change addresses and routes need root: they do so in a network namespace of their own.
let isRoot = geteuid() == 0

/// Runs `body` in a new network namespace that goes when the body ends, so that nothing of the host is touched.
///
/// A thread's namespace is its own, and the body neither suspends nor starts threads: it is this thread alone that is
/// away, together with the sockets and the child processes that it makes there.
func inNewNamespace(_ body: () throws -> Void) throws {
    // unistd(3)'s unshare and setns are declared for _GNU_SOURCE only, which Swift's Glibc module does not define.
    // SAFETY: the types are those of the two functions' declarations.
    let unshare = unsafe unsafeBitCast(
        try #require(dlsym(nil, "unshare")), to: (@convention(c) (_ flags: Int32) -> Int32).self)
    let setns = unsafe unsafeBitCast(
        try #require(dlsym(nil, "setns")), to: (@convention(c) (_ descriptor: Int32, _ kind: Int32) -> Int32).self)
    let network: Int32 = 0x4000_0000  // CLONE_NEWNET
    let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    try #require(home >= 0)
    defer { close(home) }
    try #require(unshare(network) == 0)
    defer { #expect(setns(home, network) == 0) }
    try body()
}

struct CommandFailed: Error {
    let command: String
    let output: String
}

/// Runs `ip` with these arguments in the thread's namespace and returns the lines that it printed, trimmed.
///
/// With popen, because Foundation's Process starts threads, and a thread born here would never get home again.
@discardableResult
func ip(_ arguments: String) throws -> [String] {
    // SAFETY: the stream is this function's own until pclose, and `getline` keeps `line` and `capacity` in step.
    let stream = unsafe try #require(popen("ip \(arguments) 2>&1", "r"))
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    var lines: [String] = []
    while unsafe getline(&line, &capacity, stream) >= 0, let text = unsafe line {
        lines.append(unsafe String(cString: text).trimmingCharacters(in: .whitespacesAndNewlines))
    }
    unsafe free(line)
    guard unsafe pclose(stream) == 0 else {
        throw CommandFailed(command: "ip \(arguments)", output: lines.joined(separator: "\n"))
    }
    return lines
}

/// Makes two pairs of connected interfaces, all up: `tunnel` to `far`, and `underlay` to `wire`.
func makeInterfaces() throws {
    try ip("link set lo up")
    for (one, other) in [("tunnel", "far"), ("underlay", "wire")] {
        try ip("link add \(one) type veth peer name \(other)")
        // Link-local addresses would come while a test looks.
        try ip("link set \(other) up addrgenmode none")
        try ip("link set \(one) up addrgenmode none")
    }
}

/// The routes of a family but those that the kernel has to itself, which it makes and forgets when it gets round to it.
func allRoutes(_ flag: String) throws -> [String] {
    try ip("\(flag) route show table all").filter { !$0.contains(" table local ") }.sorted()
}
