// SPDX-License-Identifier: Apache-2.0
import CWeftNftables
import Synchronization
import Weft

/// libnftables in this process: the packet filter of the network namespace in which the calling thread was at the start.
///
/// Changes take CAP_NET_ADMIN; what one call names is done as a whole or not at all. Calls block for milliseconds, or longer
/// with thousands of addresses. What was made stays when this goes.
@safe
public final class Nftables: Sendable {
    private let context: Mutex<Context>

    /// An owner of libnftables' context.
    @safe
    private struct Context: ~Copyable, @unchecked Sendable {
        // SAFETY: used under the mutex alone, by one thread at a time.
        let pointer: OpaquePointer

        deinit { unsafe nft_ctx_free(pointer) }
    }

    /// - Throws: when memory is short.
    public init() throws(GuardError) {
        guard let pointer = unsafe nft_ctx_new(0) else { throw .unavailable("libnftables can't start: out of memory") }
        let context = unsafe Context(pointer: pointer)
        guard unsafe nft_ctx_buffer_output(context.pointer) == 0, unsafe nft_ctx_buffer_error(context.pointer) == 0
        else { throw .unavailable("libnftables can't start: out of memory") }
        unsafe nft_ctx_output_set_flags(context.pointer, UInt32(WEFT_NFT_STABLE_OUTPUT))
        self.context = Mutex(consume context)
    }

    /// Runs commands as nft(8) reads them, in one transaction, and gives what they print.
    /// - Throws: ``GuardError/refused(_:)`` with nft's own words, of which the first line says it.
    @discardableResult
    public func run(_ commands: String) throws(GuardError) -> String {
        let outcome = context.withLock { context -> (status: Int32, output: String, error: String) in
            // SAFETY: the text lives for the call; the buffers are the context's, NUL-terminated and copied at once.
            let status = unsafe nft_run_cmd_from_buffer(context.pointer, commands)
            let output = unsafe nft_ctx_get_output_buffer(context.pointer).map { unsafe String(cString: $0) }
            let error = unsafe nft_ctx_get_error_buffer(context.pointer).map { unsafe String(cString: $0) }
            return (status, output ?? "", error ?? "")
        }
        guard outcome.status == 0 else {
            let line = outcome.error.split(separator: "\n").first.map(String.init) ?? "nftables refuses"
            throw .refused(line)
        }
        return outcome.output
    }

    /// A table as nft(8) lists it, without counters; nil where there is none.
    public func list(_ table: String) throws(GuardError) -> String? {
        do throws(GuardError) {
            return try run("list table inet \(table)")
        } catch .refused(let why) where why.contains("No such file or directory") {
            return nil
        }
    }
}
