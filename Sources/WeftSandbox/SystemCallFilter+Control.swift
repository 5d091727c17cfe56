// SPDX-License-Identifier: Apache-2.0
import Glibc

extension SystemCallFilter {
    /// What speaking with strangers takes over descriptors that are open: no file, no socket, no thread that isn't there yet.
    mutating func addControlRules() throws(SandboxError) {
        try addOrdinaryRules(mapsPrograms: false)
        try add(.kill, ["execveat", "bpf"])
        if Self.isSanitized { return }
        for command in [F_GETFD, F_SETFD, F_GETFL, F_SETFL] {
            try add(.allow, "fcntl", where: [ArgumentTest(1, is: UInt64(command))])
        }
    }
}
