// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Glibc

/// What a keeper can run in its namespace: a program that sees the overlay and nothing of the host's network.
///
/// The keeper is a copy of this process, which reads the memory of this value: it is never freed.
@safe
public struct PrivateCommand: @unchecked Sendable {
    let plan: UnsafePointer<weft_private_command>

    /// - Parameters:
    ///   - program: an absolute path.
    ///   - arguments: with the program's name in front.
    ///   - environment: `NAME=VALUE`.
    ///   - covering: contents that stand for files of the host's in the command's eyes, by their absolute paths. One that isn't there
    ///     stays away.
    ///   - folder: an existing folder of this user's, which is used while that is arranged and stays as it is.
    ///   - hidden: a folder that the command finds empty; nil, or one that isn't there, for none.
    public init(
        program: String, arguments: [String], environment: [String], covering files: [(path: String, content: String)],
        folder: String, hidden: String?
    ) {
        // Safe: each is made here, filled before it is used, and never freed.
        let covers = UnsafeMutablePointer<weft_private_file>.allocate(capacity: files.count + 1)
        for (index, file) in files.enumerated() {
            unsafe (covers + index).initialize(
                to: weft_private_file(path: Self.text(file.path), content: Self.text(file.content)))
        }
        unsafe (covers + files.count).initialize(to: weft_private_file(path: nil, content: nil))
        let plan = UnsafeMutablePointer<weft_private_command>.allocate(capacity: 1)
        unsafe plan.initialize(
            to: weft_private_command(
                program: Self.text(program), arguments: Self.list(arguments), environment: Self.list(environment),
                folder: Self.text(folder), files: covers, hidden: hidden.flatMap { unsafe Self.text($0) }))
        unsafe self.plan = UnsafePointer(plan)
    }

    @unsafe
    private static func text(_ text: String) -> UnsafePointer<CChar>? {
        unsafe strdup(text).map { unsafe UnsafePointer($0) }
    }

    @unsafe
    private static func list(_ texts: [String]) -> UnsafePointer<UnsafeMutablePointer<CChar>?> {
        let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { unsafe (list + index).initialize(to: strdup(text)) }
        unsafe (list + texts.count).initialize(to: nil)
        return unsafe UnsafePointer(list)
    }
}
