// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Weft
import WeftControl
import WeftFiles

@testable import WeftConfig

@Suite("Tunnel files that another process opened")
struct OpenTunnelFileTests {
    private let folder: ScratchFolder
    private let publicKey: PublicKey
    private var path: String { folder.path + "/weft0.conf" }

    init() throws {
        folder = try ScratchFolder()
        let identity = try Identity.generate()
        publicKey = identity.publicKey
        try identity.write(to: folder.path + "/host.key")
        let text = "[Interface]\nAddress = 10.0.0.1\nPrivateKeyFile = host.key\n"
        try folder.write(Array(text.utf8), to: "weft0.conf")
    }

    private func findings(_ file: OpenTunnelFile, ownedBy owners: Set<uid_t>) -> [String] {
        do throws(TunnelFileError) {
            _ = try file.read(trusting: FileTrust(owners: owners))
            return []
        } catch {
            return error.lines
        }
    }

    private func opened(_ name: String) throws -> SharedDescriptor {
        SharedDescriptor(try FileDescriptor(path: folder.path + "/" + name, flags: O_RDONLY | O_NONBLOCK))
    }

    @Test("are read from their descriptors, as often as one likes, whatever their names came to mean")
    func readsDescriptors() throws {
        let (file, first) = try TunnelFile.open(path: path)
        #expect(first.interface.identity?.publicKey == publicKey)
        #expect(file.named.map(\.name) == ["host.key"])
        try FileManager.default.removeItem(atPath: path)
        try Identity.generate().write(to: folder.path + "/host.key", force: true)
        for _ in 0..<2 {
            let again = try file.read(trusting: .caller)
            #expect(again.interface.identity?.publicKey == publicKey)
            #expect(again.file == path)
        }
    }

    @Test("must belong to somebody who is believed")
    func owners() throws {
        let (file, _) = try TunnelFile.open(path: path)
        let someoneElse = getuid() + 1
        #expect(
            findings(file, ownedBy: [someoneElse])
                == [
                    "\(path): belongs to user \(getuid()), who is neither root nor the caller: run chown root \(path)"
                ])
    }

    @Test("a key file must, too", .enabled(if: getuid() == 0))
    func keyOwners() throws {
        let key = folder.path + "/host.key"
        try FileManager.default.setAttributes([.ownerAccountID: 4242], ofItemAtPath: key)
        let named = OpenTunnelFile.Named(name: "host.key", descriptor: try opened("host.key"))
        let file = OpenTunnelFile(path: path, file: try opened("weft0.conf"), named: [named])
        #expect(
            findings(file, ownedBy: [0])
                == [
                    "\(path):3: PrivateKeyFile: \(key) belongs to user 4242, who is neither root nor the caller: "
                        + "run chown root \(key)"
                ])
        #expect(findings(file, ownedBy: [0, 4242]) == [])
    }

    @Test("are judged by what was opened")
    func judged() throws {
        let named = [OpenTunnelFile.Named(name: "host.key", descriptor: try opened("host.key"))]
        func finding(_ file: SharedDescriptor, _ named: [OpenTunnelFile.Named]) -> [String] {
            findings(OpenTunnelFile(path: path, file: file, named: named), ownedBy: [0, getuid()])
        }
        #expect(finding(try opened("weft0.conf"), named) == [])
        #expect(finding(try opened("."), named) == ["\(path): expected a regular file, found something else"])
        #expect(unsafe mkfifo(folder.path + "/pipe", 0o600) == 0)
        #expect(finding(try opened("pipe"), named) == ["\(path): expected a regular file, found something else"])
        let pipe = [OpenTunnelFile.Named(name: "host.key", descriptor: try opened("pipe"))]
        #expect(finding(try opened("weft0.conf"), pipe).first?.contains("isn't a regular file") == true)
        let nowhere = finding(try opened("weft0.conf"), [])
        #expect(nowhere.first?.contains("cannot find among the files that came along") == true)
        try FileManager.default.setAttributes([.posixPermissions: 0o660], ofItemAtPath: path)
        #expect(finding(try opened("weft0.conf"), named).first?.contains("others can change this file") == true)
    }
}
