// SPDX-License-Identifier: Apache-2.0
import WeftControl

/// The file that describes a tunnel. It reads like a WireGuard file.
public enum TunnelFile {
    /// Bytes that a file may have.
    public static let maximumSize = 1 << 20

    static let tooLarge = "expected a tunnel file of at most \(maximumSize) bytes, found a larger one"

    /// Reads a tunnel file's text.
    ///
    /// Nothing outside is looked at, so that a PrivateKeyFile isn't read, and any bytes at all give either a configuration or diagnostics.
    /// The text's copy in here is wiped before this returns; the caller still has to wipe its own.
    ///
    /// - Parameters:
    ///   - text: the file's bytes, lent until this returns.
    ///   - name: how messages call the file.
    /// - Throws: everything that is wrong with the file.
    public static func parse(_ text: Span<UInt8>, name: String) throws(TunnelFileError) -> TunnelConfiguration {
        // One byte too many is enough to see that it is too large.
        let text = text.extracting(first: maximumSize + 1)
        return try parse(SharedSecret(SecretBytes(copying: text)), name: name, alsoFound: { _ in nil })
    }

    /// Reads a tunnel file's text, as above.
    public static func parse(_ text: String, name: String) throws(TunnelFileError) -> TunnelConfiguration {
        try parse(text.utf8.span, name: name)
    }

    /// Reads a text that this module holds.
    ///
    /// - Parameter alsoFound: what else is wrong with the file, given whether it holds keys.
    static func parse(
        _ source: SharedSecret, name: String, readIdentity: ((String) throws(KeyFileError) -> Identity)? = nil,
        readPresharedKey: ((String) throws(KeyFileError) -> PresharedKey)? = nil,
        alsoFound: (_ holdsKeys: Bool) -> String?
    ) throws(TunnelFileError) -> TunnelConfiguration {
        var parser = TunnelFileParser(source, readIdentity: readIdentity, readPresharedKey: readPresharedKey)
        parser.readSections()
        if let finding = alsoFound(parser.text.holdsKeys) {
            parser.diagnostics.add(finding)
        }
        return try parser.finish(file: name)
    }
}
