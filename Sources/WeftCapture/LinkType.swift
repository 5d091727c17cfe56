// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// What stands before the IP header, by libpcap's numbers for files.
enum LinkType: UInt32 {
    /// A family in the host's order (BSD loopback).
    case null = 0
    case ethernet = 1
    /// Plain IP, by the number that one system's files have.
    case rawOfSystem = 12
    case raw = 101
    case loop = 108
    case linuxCooked = 113
    case ipv4 = 228
    case ipv6 = 229
    case linuxCooked2 = 276
}
