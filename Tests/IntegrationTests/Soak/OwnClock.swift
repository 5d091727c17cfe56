// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation

extension Host {
    /// Gives all programs that start on this host from now on a wall clock of its own, which
    /// ``ownClockScript`` steps. The machine's clock, which all its processes share, stays as it is.
    /// - Returns: whether it has one; not in a build with a sanitizer, which wants to be the first library of a program.
    func makeOwnClock() async throws -> Bool {
        if test_is_sanitized() != 0 { return false }
        let library = URL(fileURLWithPath: WeftCommand.path).deletingLastPathComponent()
            .appendingPathComponent("libSteppedClock.so").path
        try await shell(
            """
            set -e
            mkdir -m 755 '\(folder)/etc'
            cp -a /etc/. '\(folder)/etc'
            cp '\(library)' '\(folder)/etc/stepped-clock.so'
            printf '%-20d' 5000 >'\(folder)/etc/stepped-clock'
            echo /etc/stepped-clock.so >'\(folder)/etc/ld.so.preload'
            chmod 644 '\(folder)/etc/ld.so.preload' '\(folder)/etc/stepped-clock'
            chmod 755 '\(folder)/etc/stepped-clock.so'
            mount --bind '\(folder)/etc' /etc
            """)
        let text = try await shell("date +%s").trimmingCharacters(in: .whitespacesAndNewlines)
        guard let time = Double(text), abs(time - 5000 - Date().timeIntervalSince1970) < 60 else {
            throw TestFailure("the clock of \(name) can't be stepped: \(text)")
        }
        try await shell("\(Self.ownClockScript)\nstep 0")
        return true
    }

    /// `step SECONDS` sets how far off the host's own clock is.
    static let ownClockScript = "step() { printf '%-20d' $1 | dd of=/etc/stepped-clock conv=notrunc status=none; }"
}
