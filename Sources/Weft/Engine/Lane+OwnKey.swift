// SPDX-License-Identifier: Apache-2.0

extension Lane {
    /// Why a datagram didn't open. With manual keys it may be sealed with the key that we send with, and if it isn't one of ours, nothing
    /// more is sent with that key: see ``CarriedKey``.
    ///
    /// - Parameters:
    ///   - datagram: where it begins.
    ///   - output: what decrypting has left: garbage, in the text's own place perhaps. It is garbage afterwards, too.
    @inline(never)
    mutating func reasonNotToOpen(
        _ datagram: UnsafeRawPointer, _ header: Geneve.Header, _ opened: Opened, to output: UnsafeMutableRawPointer,
        at now: Instant
    ) -> DropReason {
        let network = view.networks[opened.slot]
        guard let transmit = network.transmit, transmit.spi == header.spi, transmit.mayTry(at: now) else {
            return .authenticationFailed
        }
        func job(_ key: PacketKey.Reference, _ input: UnsafeRawPointer) -> PacketCipher.Job {
            unsafe PacketCipher.Job(
                key: key, nonce: datagram + header.nonceOffset, associatedData: datagram,
                associatedCount: header.length,
                input: input, output: output, count: opened.plaintext.count)
        }
        // Safe: the caller found header, text and tag within the datagram, and room for the text in the output.
        let text = unsafe datagram + header.length
        if unsafe UnsafeRawPointer(output) == text {
            // Sealing what the wrong key has made of the text gives the text again: both add the same key stream.
            let wrong = unsafe network.receive[opened.association].key
            var tag = (0 as UInt64, 0 as UInt64)
            let isRestored = unsafe withUnsafeMutableBytes(of: &tag) { tag in
                guard let tag = tag.baseAddress else { return false }
                return unsafe cipher.seal(job(wrong, text), tag: tag)
            }
            guard isRestored else { return .authenticationFailed }
        }
        guard unsafe cipher.open(job(transmit.key, text), tag: text + opened.plaintext.count) else {
            return .authenticationFailed
        }
        transmit.stop(unlessOurs: opened.counter)
        return .sealedWithOurKey
    }
}
