// SPDX-License-Identifier: Apache-2.0
import Weft

/// What the data process asks of the spawner: one message each, some with a descriptor.
enum SpawnerRequest: Hashable {
    /// Confine yourself as this user, and keep the identity key: comes with a sealed memory file. The first request, once.
    case confine(user: UInt32, group: UInt32)
    /// Start a control process: comes with its end of the pair.
    case start
    case kill

    static let byteCount = 9

    var bytes: [UInt8] {
        switch self {
        case .confine(let user, let group): [1] + Self.bytes(user) + Self.bytes(group)
        case .start: [2] + [UInt8](repeating: 0, count: 8)
        case .kill: [3] + [UInt8](repeating: 0, count: 8)
        }
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        switch bytes[0] {
        case 1: self = .confine(user: Self.number(bytes[1..<5]), group: Self.number(bytes[5..<9]))
        case 2: self = .start
        case 3: self = .kill
        default: return nil
        }
    }

    fileprivate static func bytes(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32($0 * 8)) }
    }

    fileprivate static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// What the spawner tells the data process.
enum SpawnerReport: Hashable {
    case started(process: Int32)
    /// The control process is gone: as waitid(2) says it, a code and a status.
    case ended(code: Int32, status: Int32)
    /// It couldn't be started.
    case failed(errno: Int32)

    static let byteCount = 9

    var bytes: [UInt8] {
        let (kind, one, two): (UInt8, Int32, Int32) =
            switch self {
            case .started(let process): (1, process, 0)
            case .ended(let code, let status): (2, code, status)
            case .failed(let errno): (3, errno, 0)
            }
        return [kind] + SpawnerRequest.bytes(UInt32(bitPattern: one)) + SpawnerRequest.bytes(UInt32(bitPattern: two))
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        let one = Int32(bitPattern: SpawnerRequest.number(bytes[1..<5]))
        let two = Int32(bitPattern: SpawnerRequest.number(bytes[5..<9]))
        switch bytes[0] {
        case 1: self = .started(process: one)
        case 2: self = .ended(code: one, status: two)
        case 3: self = .failed(errno: one)
        default: return nil
        }
    }
}
