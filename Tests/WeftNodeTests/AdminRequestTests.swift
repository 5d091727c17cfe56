// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import WeftNode

@Suite("Requests at a tunnel's socket")
struct AdminRequestTests {
    static let requests: [AdminRequest] = [
        .status(listingNetworks: false), .status(listingNetworks: true), .stop(keepingGuard: false),
        .stop(keepingGuard: true), .file,
        .reload(files: ["/etc/weft/weft0.conf"]), .plan(files: ["relative.conf", "keys/host key.pem", "/ä"]),
        .reload(files: Array(repeating: "x", count: AdminRequest.mostFiles)),
    ]

    @Test("mean what was asked, and nothing before they are whole", arguments: requests)
    func wholeAndParts(_ request: AdminRequest) throws {
        let bytes = try #require(request.bytes)
        #expect(AdminRequest.read(bytes) == .complete(request))
        for count in bytes.indices { #expect(AdminRequest.read(Array(bytes[..<count])) == .incomplete) }
        #expect(AdminRequest.read(bytes + [10]) == .bad || request.isReload)
        #expect(AdminRequest.read(bytes + Array("x\n".utf8)) != .complete(request))
    }

    @Test(
        "are refused where they aren't ours",
        arguments: [
            "\n", "reload x\n", "Status\n", "status \n", "plan\n\n\n", "reload\n\n\n", "reload\n/a\0b\n\n",
            "reload\n/a\n\n/b\n\n",
            "stop\nstop\n",
        ])
    func garbage(_ text: String) { #expect(AdminRequest.read(Array(text.utf8)) == .bad) }

    @Test("are bounded")
    func bounded() {
        let long = [UInt8](repeating: 97, count: AdminRequest.limit)
        #expect(AdminRequest.read(long) == .bad)
        #expect(AdminRequest.read(Array("reload\n".utf8) + long) == .bad)
        let many = Array(repeating: "x", count: AdminRequest.mostFiles + 1)
        #expect(AdminRequest.reload(files: many).bytes == nil)
        #expect(AdminRequest.reload(files: ["a\nb"]).bytes == nil)
        #expect(AdminRequest.reload(files: []).bytes == nil)
        #expect(AdminRequest.plan(files: [String(repeating: "x", count: AdminRequest.limit)]).bytes == nil)
    }

    @Test("never trap, whatever comes")
    func random() {
        var generator = SystemRandomNumberGenerator()
        let words = ["status", "reload", "plan", "stop", "\n", "\n\n", "/a", "\0", "é"].map { Array($0.utf8) }
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<8, using: &generator) {
                bytes +=
                    Bool.random(using: &generator)
                    ? words.randomElement(using: &generator) ?? [] : [.random(in: 0...255)]
            }
            _ = AdminRequest.read(bytes)
        }
    }
}

extension AdminRequest {
    fileprivate var isReload: Bool {
        switch self {
        case .reload, .plan: true
        default: false
        }
    }
}
