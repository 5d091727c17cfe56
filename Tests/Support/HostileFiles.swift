// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Files, and the folders and links on the way to them, that whoever reads files should never trip over: each is drawn at random.
public struct HostileFiles {
    /// Where the files are, or would be.
    public private(set) var paths: [String] = []
    private let folder: String

    /// Makes `count` of them below a folder that exists.
    ///
    /// - Parameter sample: what a good file has.
    public init(
        below folder: String, count: Int, sample: [UInt8], using random: inout some RandomNumberGenerator
    ) throws {
        self.folder = folder
        for number in 0..<count { try make(number, sample, &random) }
    }

    private mutating func make(
        _ number: Int, _ sample: [UInt8], _ random: inout some RandomNumberGenerator
    ) throws {
        let root = "\(folder)/\(number)"
        let depth = Int.random(in: 0...3, using: &random)
        let parts = (0..<depth).map { _ in Self.name(&random) }
        var places = [root]
        for part in parts { places.append("\(places[places.count - 1])/\(part)") }
        for place in places { guard unsafe mkdir(place, 0o700) == 0 else { throw POSIXError(.EIO) } }
        let path = "\(places[places.count - 1])/\(Self.name(&random)).conf"
        try makeEntry(path, root, sample, &random)
        // From the inside, since what is above may become impassable for others.
        for place in places.dropFirst().reversed() where Int.random(in: 0..<4, using: &random) == 0 {
            Self.expose(place, [0o755, 0o700, 0o711, 0o775, 0o777, 0o1777, 0o1775, 0o3777, 0o000], &random)
        }
        paths.append(path)
    }

    /// What lies at the path: a file as a rule, now and then behind links, and now and then something else.
    private func makeEntry(
        _ path: String, _ root: String, _ sample: [UInt8], _ random: inout some RandomNumberGenerator
    ) throws {
        switch Int.random(in: 0..<16, using: &random) {
        case 0: unsafe mkdir(path, 0o755)
        case 1: unsafe mkfifo(path, 0o600)
        case 2:
            let targets = [
                path, "/dev/null", "/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/self/environ", "/proc/self/fd/0",
                "/", "..",
                "nowhere", "\(root)/\(root)", String(repeating: "x/", count: 2000), "/proc/self/cwd/etc/passwd",
                "\u{1b}[2J",
            ]
            link(path, to: targets.randomElement(using: &random) ?? "/", &random)
        case 3: break
        case 4, 5, 6:
            // A chain, which may be longer than the kernel follows.
            let length = Int.random(in: 1...50, using: &random)
            for step in 0..<length {
                link(step == 0 ? path : "\(root)/link\(step)", to: "\(root)/link\(step + 1)", &random)
            }
            try makeFile("\(root)/link\(length)", sample, &random)
        default: try makeFile(path, sample, &random)
        }
    }

    private func makeFile(_ path: String, _ sample: [UInt8], _ random: inout some RandomNumberGenerator) throws {
        try Data(Self.contents(sample, &random)).write(to: URL(fileURLWithPath: path))
        if Int.random(in: 0..<10, using: &random) == 0 {
            unsafe truncate(path, off_t.random(in: 0...(1 << 42), using: &random))
        }
        Self.setMode(0o600, of: path)
        guard Int.random(in: 0..<3, using: &random) > 0 else { return }
        Self.expose(path, [0o600, 0o400, 0o640, 0o644, 0o660, 0o666, 0o602, 0o000, 0o4755, 0o7777], &random)
    }

    private func link(_ path: String, to target: String, _ random: inout some RandomNumberGenerator) {
        guard unsafe symlink(target, path) == 0, Int.random(in: 0..<12, using: &random) == 0 else { return }
        unsafe lchown(path, Self.owner(&random), 0)
    }

    private static func expose(_ path: String, _ modes: [mode_t], _ random: inout some RandomNumberGenerator) {
        // Without root the owner stays, and that is all.
        if Int.random(in: 0..<3, using: &random) == 0 { unsafe lchown(path, owner(&random), 4242) }
        setMode(modes.randomElement(using: &random) ?? 0o600, of: path)
    }

    /// Never through a link, which may lead anywhere: as root that would change the machine.
    private static func setMode(_ mode: mode_t, of path: String) {
        unsafe fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW)
    }

    private static func owner(_ random: inout some RandomNumberGenerator) -> uid_t {
        [0, 4242, 65534, 4_294_967_294].randomElement(using: &random) ?? 0
    }

    private static func contents(_ sample: [UInt8], _ random: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes = sample
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            return (0..<Int.random(in: 0...4000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        case 1: return [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: (1 << 20) + 1)
        case 2: bytes.removeLast(Int.random(in: 0...sample.count, using: &random))
        case 3:
            for _ in 0..<Int.random(in: 1...20, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
        case 4: bytes += Array("\u{1b}]0;x\u{7}\u{202e}\r".utf8)
        default: break
        }
        return bytes
    }

    private static func name(_ random: inout some RandomNumberGenerator) -> String {
        let names = [
            "weft0", "a b", "\u{1b}[31m", "x\ny", "-f", "\u{202e}fnoc", String(repeating: "n", count: 240), "%n%s",
            "'\";$(:)",
        ]
        return names.randomElement(using: &random) ?? "weft0"
    }
}
