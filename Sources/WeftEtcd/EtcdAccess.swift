// SPDX-License-Identifier: Apache-2.0
import CWeftCurl
import Weft

/// Where an etcd is, and what proves to each side who the other is.
public struct EtcdAccess: Sendable {
    /// Whose passwords etcd keeps.
    public struct Login: Sendable {
        public let name: String
        public let password: String

        public init(name: String, password: String) {
            self.name = name
            self.password = password
        }
    }

    /// `http://HOST:PORT` or https, without a path.
    public let url: String
    /// A PEM file of the authorities that may vouch for etcd; nil: those that the system trusts.
    public var certificateAuthority: String?
    /// A PEM file of our own certificate, and one of its key.
    public var certificate: String?
    public var key: String?
    public var login: Login?

    /// - Parameter allowsPlainHTTP: whether etcd may be spoken to without TLS over a network: whoever is on the way can then
    ///   read and change all of it. To the host itself it is always allowed.
    public init(_ url: String, allowsPlainHTTP: Bool = false) throws(EtcdError) {
        guard let parts = URLParts(url), ["http", "https"].contains(parts.scheme), !parts.host.isEmpty,
            parts.path.isEmpty || parts.path == "/", !parts.hasMore
        else { throw .badURL(url) }
        guard parts.scheme == "https" || allowsPlainHTTP || Self.isLoopback(parts.host) else { throw .plainHTTP(url) }
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    private static func isLoopback(_ host: String) -> Bool {
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        if bare == "localhost" { return true }
        guard let address = IPAddress(bare) else { return false }
        return address.family == .v4 ? address.v4Bits >> 24 == 127 : address.high == 0 && address.low == 1
    }
}

/// A URL as libcurl reads it, so that what is checked is what is asked.
private struct URLParts {
    let scheme: String
    let host: String
    let path: String
    /// A user, a query or a fragment.
    let hasMore: Bool

    init?(_ text: String) {
        guard let url = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(url) }
        guard unsafe curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK else { return nil }
        func part(_ which: CURLUPart) -> String? {
            var found: UnsafeMutablePointer<CChar>?
            // SAFETY: it gives a text of its own, which ends with NUL and is freed here.
            guard unsafe curl_url_get(url, which, &found, 0) == CURLUE_OK, let text = unsafe found else { return nil }
            defer { unsafe curl_free(text) }
            return unsafe String(cString: text)
        }
        scheme = part(CURLUPART_SCHEME) ?? ""
        host = part(CURLUPART_HOST) ?? ""
        path = part(CURLUPART_PATH) ?? ""
        hasMore = [CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT].contains { part($0) != nil }
    }
}
