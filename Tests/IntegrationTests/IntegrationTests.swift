// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

/// The real command, between hosts made of namespaces. One test after the other: they share two cores' time.
@Suite(
    "The command between two hosts", .serialized,
    .enabled(if: geteuid() == 0, "needs root: it makes network namespaces"))
enum Integration {}
