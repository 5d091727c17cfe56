// SPDX-License-Identifier: Apache-2.0
import CWeftCurl
import Synchronization

/// HTTP exchanges by libcurl, one after the other over connections that are kept. ``cancel()`` ends one from any thread.
///
/// No proxy is ever asked, whatever the environment says; redirects are not followed; no file of the user's is read.
@safe
final class Transfer: Sendable {
    /// What takes an answer's body.
    protocol Receiver: AnyObject {
        /// Takes a part; false ends the exchange.
        func take(_ bytes: Span<UInt8>, status: Int) -> Bool
    }

    struct Request {
        let path: String
        let body: [UInt8]
        var token: String?
        /// Seconds for the whole exchange; nil: it may last for days.
        var patience: Double?
    }

    // SAFETY: only curl_multi_wakeup is called beside the thread that runs an exchange, which libcurl allows; and the
    // handle is freed once nobody has this object any more.
    @safe
    private struct Handle: @unchecked Sendable {
        let multi: UnsafeMutableRawPointer
    }

    private let access: EtcdAccess
    private let handle: Handle?
    /// Held while an exchange runs.
    private let turn = Mutex(())
    private let isCancelled = Atomic(false)

    private static let connectSeconds = 3.0
    private static let library: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    init(_ access: EtcdAccess) {
        self.access = access
        unsafe handle = Self.library == CURLE_OK ? curl_multi_init().map { unsafe Handle(multi: $0) } : nil
    }

    deinit { if let handle { unsafe curl_multi_cleanup(handle.multi) } }

    /// Ends the exchange that runs, and each that is begun afterwards.
    func cancel() {
        isCancelled.store(true, ordering: .releasing)
        if let handle { unsafe curl_multi_wakeup(handle.multi) }
    }

    /// Runs an exchange to its end.
    /// - Returns: the answer's status.
    /// - Throws: `EtcdError.unreachable`, also when it is cancelled or the receiver ends it.
    func run(_ request: Request, into receiver: any Receiver) throws(EtcdError) -> Int {
        try turn.withLock { _ throws(EtcdError) in
            guard let handle, let easy = unsafe curl_easy_init() else {
                throw .unreachable("libcurl could not be set up")
            }
            defer { unsafe curl_easy_cleanup(easy) }
            return try unsafe run(request, receiver, easy, handle.multi)
        }
    }

    /// What libcurl's callback finds behind its context.
    @safe
    private final class Sink {
        let receiver: any Receiver
        let easy: UnsafeMutableRawPointer

        init(_ receiver: any Receiver, _ easy: UnsafeMutableRawPointer) {
            self.receiver = receiver
            unsafe self.easy = easy
        }

        func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
            var status = 0
            _ = unsafe weft_curl_get_number(easy, CURLINFO_RESPONSE_CODE, &status)
            return unsafe bytes.withMemoryRebound(to: UInt8.self) { receiver.take(unsafe $0.span, status: status) }
        }
    }

    private func run(
        _ request: Request, _ receiver: any Receiver, _ easy: UnsafeMutableRawPointer, _ multi: UnsafeMutableRawPointer
    ) throws(EtcdError) -> Int {
        let sink = unsafe Sink(receiver, easy)
        let words = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe words.initialize(repeating: 0)
        defer { unsafe words.deallocate() }
        var headers: UnsafeMutablePointer<curl_slist>?
        for line in ["Content-Type: application/json", "Expect:"]
            + (request.token.map { ["Authorization: \($0)"] } ?? [])
        {
            unsafe headers = curl_slist_append(headers, line)
        }
        defer { unsafe curl_slist_free_all(headers) }
        // SAFETY: what libcurl keeps pointers to - words, headers, sink - lives until the handle was taken out below.
        unsafe weft_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, words.baseAddress)
        unsafe weft_curl_set_pointer(easy, CURLOPT_HTTPHEADER, headers)
        unsafe weft_curl_set_pointer(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(sink).toOpaque())
        unsafe weft_curl_set_sink(easy) { bytes, one, count, context in
            guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
            let sink = unsafe Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
            let taken = unsafe sink.take(UnsafeRawBufferPointer(start: bytes, count: one * count))
            return taken ? one * count : 0
        }
        try unsafe set(easy, request)
        guard unsafe curl_multi_add_handle(multi, easy) == CURLM_OK else { throw .unreachable("libcurl is busy") }
        let code = unsafe Self.wait(multi, unlessCancelled: isCancelled)
        unsafe curl_multi_remove_handle(multi, easy)
        withExtendedLifetime(sink) {}
        guard let code else { throw .unreachable("cancelled") }
        guard code == CURLE_OK else {
            let more = unsafe String(decoding: words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw .unreachable(
                more.isEmpty ? unsafe curl_easy_strerror(code).map { unsafe String(cString: $0) } ?? "?" : more)
        }
        var status = 0
        _ = unsafe weft_curl_get_number(easy, CURLINFO_RESPONSE_CODE, &status)
        return status
    }

    private func set(_ easy: UnsafeMutableRawPointer, _ request: Request) throws(EtcdError) {
        var isSet = true
        func text(_ option: CURLoption, _ value: String?) {
            isSet = unsafe weft_curl_set_text(easy, option, value) == CURLE_OK && isSet
        }
        func number(_ option: CURLoption, _ value: Int) {
            isSet = unsafe weft_curl_set_number(easy, option, value) == CURLE_OK && isSet
        }
        text(CURLOPT_URL, "\(access.url)/v3/\(request.path)")
        text(CURLOPT_PROTOCOLS_STR, "http,https")
        text(CURLOPT_PROXY, "")
        text(CURLOPT_NOPROXY, "*")
        number(CURLOPT_NOSIGNAL, 1)
        number(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        number(CURLOPT_CONNECTTIMEOUT_MS, Int(Self.connectSeconds * 1000))
        number(CURLOPT_TIMEOUT_MS, Int((request.patience ?? 0) * 1000))
        // A connection that is gone without a word is noticed where nothing is ever said, as in a quiet watch.
        number(CURLOPT_TCP_KEEPALIVE, 1)
        number(CURLOPT_TCP_KEEPIDLE, 10)
        number(CURLOPT_TCP_KEEPINTVL, 5)
        number(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let authority = access.certificateAuthority {
            // These and nobody else: the system's own would be trusted beside them.
            text(CURLOPT_CAPATH, nil)
            text(CURLOPT_CAINFO, authority)
        }
        if let certificate = access.certificate { text(CURLOPT_SSLCERT, certificate) }
        if let key = access.key { text(CURLOPT_SSLKEY, key) }
        number(CURLOPT_POST, 1)
        number(CURLOPT_POSTFIELDSIZE, request.body.count)
        // SAFETY: libcurl copies as many bytes as it was told before.
        isSet =
            unsafe request.body.withUnsafeBytes {
                unsafe weft_curl_set_pointer(
                    easy, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: $0.baseAddress))
            } == CURLE_OK && isSet
        guard isSet else { throw .unreachable("libcurl lacks what this needs") }
    }

    /// Nil when cancelled.
    private static func wait(
        _ multi: UnsafeMutableRawPointer, unlessCancelled isCancelled: borrowing Atomic<Bool>
    ) -> CURLcode? {
        var running: Int32 = 1
        while true {
            if isCancelled.load(ordering: .acquiring) { return nil }
            guard unsafe curl_multi_perform(multi, &running) == CURLM_OK else { return CURLE_FAILED_INIT }
            var isFinished: Int32 = 0
            let code = unsafe weft_curl_result(multi, &isFinished)
            if isFinished != 0 { return code }
            guard unsafe curl_multi_poll(multi, nil, 0, 1000, nil) == CURLM_OK else { return CURLE_FAILED_INIT }
        }
    }
}
