// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing
import WeftTestSupport

@testable import WeftFiles

/// Whether a path is believed, found by names alone and without a thought of races.
private struct NaiveWalk {
    var links = 0

    mutating func believes(_ path: String) -> Bool {
        guard let whole = resolve(path[...], from: "/"), let status = look(whole) else { return false }
        guard unsafe access(whole, R_OK) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFREG && isGood(status, isFolder: false, of: host(of: whole))
    }

    /// Where a path leads; nil if it leads nowhere, or by a way that isn't believed.
    private mutating func resolve(_ path: Substring, from start: String) -> String? {
        var place = path.hasPrefix("/") ? "/" : start
        for part in path.split(separator: "/") where part != "." {
            guard let folder = look(place), folder.st_mode & S_IFMT == S_IFDIR,
                isGood(folder, isFolder: true, of: host(of: place, isFolder: true))
            else { return nil }
            if part == ".." {
                place = (place as NSString).deletingLastPathComponent
                continue
            }
            let next = place == "/" ? "/\(part)" : "\(place)/\(part)"
            guard let status = look(next) else { return nil }
            place = next
            guard status.st_mode & S_IFMT == S_IFLNK else { continue }
            links += 1
            guard isBelieved(status.st_uid) || status.st_uid == host(of: next), links <= 40,
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: next),
                let there = resolve(target[...], from: (next as NSString).deletingLastPathComponent)
            else { return nil }
            place = there
        }
        return place
    }

    private func look(_ path: String) -> stat? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status : nil
    }

    /// The user in whose private folder something lies, or whose private folder it is: the innermost one's.
    private func host(of path: String, isFolder: Bool = false) -> uid_t? {
        guard path != "/" else { return nil }
        let parent = (path as NSString).deletingLastPathComponent
        let outer = host(of: parent, isFolder: true)
        guard isFolder, geteuid() == 0, let status = look(path), !isBelieved(status.st_uid), let above = look(parent)
        else { return outer }
        return status.st_mode & 0o077 == 0 && above.st_mode & 0o022 == 0 ? status.st_uid : outer
    }

    private func isBelieved(_ user: uid_t) -> Bool { user == 0 || user == geteuid() }

    private func isGood(_ status: stat, isFolder: Bool, of host: uid_t?) -> Bool {
        (isBelieved(status.st_uid) || status.st_uid == host)
            && (status.st_mode & 0o022 == 0 || isFolder && status.st_mode & S_ISVTX != 0)
    }
}

@Suite("Files that are believed, of many")
struct NaiveWalkTests {
    @Test("1,000 hostile files: as a naive walk finds them")
    func hostile() throws {
        let folder = try ScratchFolder()
        var random = SeededGenerator.fresh()
        let files = try HostileFiles(below: folder.path, count: 1000, sample: Array("good".utf8), using: &random)
        var believed = 0
        for path in files.paths {
            var naive = NaiveWalk()
            let why = refusal(path)
            #expect(
                (why == nil) == naive.believes(path),
                "\(path): \(why.map(String.init(describing:)) ?? "believed"), seed \(random.seed)")
            #expect(why?.description != "")
            believed += why == nil ? 1 : 0
        }
        // Neither is rare, so that both are tried.
        #expect(believed > 100 && believed < 900, "\(believed) of 1,000, seed \(random.seed)")
    }
}
