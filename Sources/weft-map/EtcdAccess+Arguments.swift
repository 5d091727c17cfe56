// SPDX-License-Identifier: Apache-2.0
import WeftCommand
import WeftControl
import WeftEtcd
import WeftFiles

extension EtcdAccess {
    /// What the options of `weft-map run` say; nil without etcd.
    init?(_ words: Arguments) throws(CommandFailure) {
        guard let url = words.value(of: "etcd") else {
            for option in ["prefix", "cacert", "cert", "key", "user-file"] where words.value(of: option) != nil {
                throw CommandFailure(.usage, "--\(option) is of etcd: it needs --etcd", usage: MapVerb.usage)
            }
            return nil
        }
        do throws(EtcdError) {
            try self.init(url, allowsPlainHTTP: words.has("insecure"))
        } catch {
            throw CommandFailure(.usage, error.description)
        }
        certificateAuthority = words.value(of: "cacert")
        certificate = words.value(of: "cert")
        key = words.value(of: "key")
        guard (certificate == nil) == (key == nil) else {
            throw CommandFailure(.usage, "--cert and --key go together", usage: MapVerb.usage)
        }
        // libcurl opens them by their paths, later, and nobody who isn't believed can make those mean others.
        for path in [certificateAuthority, certificate, key].compactMap({ $0 }) {
            do throws(FileRefusal) {
                _ = try FileTrust.caller.open(path)
            } catch {
                throw CommandFailure(.failed, error.description)
            }
        }
        login = try words.value(of: "user-file").map { path throws(CommandFailure) in try Self.login(path) }
    }

    private static func login(_ path: String) throws(CommandFailure) -> Login {
        let line: Substring
        do throws(KeyFileError) {
            let bytes = try SecretBytes(contentsOf: path)
            let text = bytes.span
            line = String(decoding: text.indices.map { text[$0] }, as: UTF8.self).prefix { $0 != "\n" }
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else {
            throw CommandFailure(.failed, "\(path): expected one line, NAME:PASSWORD")
        }
        return Login(name: String(line[..<colon]), password: String(line[line.index(after: colon)...]))
    }
}
