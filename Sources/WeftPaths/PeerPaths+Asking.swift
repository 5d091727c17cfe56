// SPDX-License-Identifier: Apache-2.0
import Weft

/// Who is asked, when, and by how long a question.
extension PeerPaths {
    /// Does what is due.
    /// - Parameter isSending: whether data goes out.
    mutating func advance(to now: Instant, isSending: Bool, token: () -> UInt64) -> [PathAction] {
        asked.removeAll { now >= $0.sent.advanced(by: Self.memory) }
        guard rules.answering != .never else {
            // Nobody asks any more how long packets may be.
            defer { toldLimit = lengths.unproven }
            return toldLimit == lengths.unproven ? [] : [.limit(lengths.unproven)]
        }
        var actions: [PathAction] = []
        let isSilent = isSilent(at: now)
        if let best = candidates.first(where: { $0.answered != nil && yields(to: $0, at: now) }) {
            return [move(to: best.place, at: now)]
        }
        if let session = unansweredSession(at: now) { return [move(to: session, at: now)] }
        judgeLengths(at: now)
        if let present, mayAsk(at: now, isSending: isSending) {
            askPresent(present, isSending: isSending, now, token, &actions)
        }
        if search?.limit != toldLimit {
            toldLimit = search?.limit
            actions.append(.limit(toldLimit))
        }
        if isSilent, isSending || isAsking { rememberFile(at: now) }
        askCandidates(isSilent: isSilent, now, token, &actions)
        return actions
    }

    /// Where the session is, or the file's new name leads, of a peer that answers no probes, whatever it says: it is followed as others
    /// that don't.
    private func unansweredSession(at now: Instant) -> AddressPair? {
        guard !hasAnswered else { return nil }
        return candidates.first { candidate in
            candidate.origin >= .session && candidate.questions >= Self.sessionCredit
                && candidate.last.map { now >= $0.advanced(by: roundTrip.patience) } ?? false
        }?.place
    }

    /// Whether connections would begin with less than the path may take, since it hasn't been asked yet: that isn't put off until data
    /// goes out.
    private var isUnproven: Bool {
        lengths.unproven != nil && rules.answering == .always && search?.proven == nil
            && trial.unanswered <= Self.questions
    }

    private func mayAsk(at now: Instant, isSending: Bool) -> Bool {
        guard isSending || isAsking || !candidates.isEmpty || isUnproven else { return false }
        guard let last = trial.last else { return true }
        let gap: Duration =
            if trial.unanswered == 0 {
                trial.isDoubted || hasAnswered && search?.isSearching(at: now) == true
                    ? roundTrip.patience : Self.period
            } else if trial.unanswered <= Self.questions {
                roundTrip.patience
            } else {
                // Whoever never answered may be of a kind that doesn't.
                hasAnswered ? Self.period : Self.longestGap
            }
        return now >= last.advanced(by: gap)
    }

    /// Asks the present path, by a question as long as packets are to be, and by a short one where that may be too long: whether it
    /// answers at all is another matter.
    private mutating func askPresent(
        _ present: AddressPair, isSending: Bool, _ now: Instant, _ token: () -> UInt64, _ actions: inout [PathAction]
    ) {
        let isUnsure = trial.unanswered > 0 || search?.isSearching(at: now) == true
        trial.unanswered += 1
        trial.last = now
        if hasAnswered, isSending || isUnproven, let length = search?.next(at: now) {
            actions.append(ask(present, length: length, now, token))
            guard isUnsure else { return }
        }
        actions.append(ask(present, now, token))
    }

    /// Long questions without an answer count against their length only where the path has answered since.
    private mutating func judgeLengths(at now: Instant) {
        guard let lastAnswer else { return }
        let patience = roundTrip.patience
        var index = 0
        while index < asked.count {
            let question = asked[index]
            if question.length > PathProbe.byteCount, question.place.remote == present?.remote,
                now >= question.sent.advanced(by: patience), lastAnswer > question.sent
            {
                asked.remove(at: index)
                search?.failed(question.length, at: now)
            } else {
                index += 1
            }
        }
    }

    private mutating func askCandidates(
        isSilent: Bool, _ now: Instant, _ token: () -> UInt64, _ actions: inout [PathAction]
    ) {
        let patience = roundTrip.patience
        for index in candidates.indices {
            let candidate = candidates[index]
            // QUIC has shown that who is at a session's place asked for it: there is no need to wait.
            guard candidate.credit > 0, isSilent || candidate.origin >= .session,
                candidate.last.map({ now >= $0.advanced(by: patience) }) ?? true
            else { continue }
            candidates[index].credit -= 1
            candidates[index].questions += 1
            candidates[index].last = now
            actions.append(ask(candidate.place, now, token))
        }
        // What nobody may ask any more, and didn't answer, is forgotten.
        candidates.removeAll { candidate in
            now >= candidate.since.advanced(by: Self.patience)
                || candidate.credit == 0 && candidate.answered == nil
                    && candidate.last.map { now >= $0.advanced(by: Self.memory) } ?? false
        }
    }

    /// Where the file says is always worth a question, as often as the present path.
    private mutating func rememberFile(at now: Instant) {
        for endpoint in (rules.endpoint.map { [$0] } ?? rules.named) where endpoint != present?.remote {
            guard let known = candidates.firstIndex(where: { $0.place.remote == endpoint }) else {
                candidates.append(Candidate(place: AddressPair(endpoint), origin: .name, since: now, credit: 1))
                continue
            }
            guard candidates[known].credit == 0, let last = candidates[known].last else { continue }
            if now >= last.advanced(by: Self.period) { candidates[known].credit = 1 }
        }
    }

    private mutating func ask(
        _ place: AddressPair, length: Int = PathProbe.byteCount, _ now: Instant, _ token: () -> UInt64
    ) -> PathAction {
        let question = Question(token: token(), place: place, length: length, sent: now)
        asked.append(question)
        return .probe(token: question.token, to: place, length: length)
    }
}
