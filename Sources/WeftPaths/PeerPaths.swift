// SPDX-License-Identifier: Apache-2.0
import Weft

/// One peer's paths: the present one, to which data goes, and others that it might be at.
///
/// The present one is left when it has stopped to answer and another one has answered, or when another one answers that the file has
/// come to name, and for no other reason: an address that merely appeared as a source makes the present one be asked, and is asked
/// itself once that is silent. What a racer, a relay or a forger of addresses can do is in docs/paths.md.
struct PeerPaths: Sendable {
    /// Questions without an answer after which the present path counts as silent.
    static let questions = 3
    /// Between questions while data goes out and all is well.
    static let period = Duration.seconds(1)
    /// Between questions of a path that has been silent for long.
    static let longestGap = Duration.seconds(5)
    /// How long an answer that comes late still counts.
    static let memory = Duration.seconds(5)
    /// How long a candidate is kept.
    static let patience = Duration.seconds(15)
    /// Candidates at most; the oldest of those that say least makes way.
    static let mostCandidates = 6
    /// Of a name's places so many are asked. The control session says where the peer is at another one.
    static let mostNamed = 4
    /// Questions to a place where the peer's session is.
    static let sessionCredit = 5

    private(set) var rules: PathRules
    /// Where data goes; nil while nobody knows.
    private(set) var present: AddressPair?
    var trial = Trial()
    var candidates: [Candidate] = []
    var asked: [Question] = []
    private(set) var roundTrip = RoundTrip()
    var search: MTUSearch?
    let lengths: PathLengths
    var toldLimit: Int?
    /// When the present path answered last.
    private(set) var lastAnswer: Instant?
    /// Whether any path of the peer's ever answered.
    private(set) var hasAnswered = false
    private var answers = Allowance(atOnce: 50, perSecond: 50)

    /// How the present path is doing.
    struct Trial {
        var unanswered = 0
        var last: Instant?
        /// Somebody suggested another place since it answered last.
        var isDoubted = false
    }

    struct Candidate {
        var place: AddressPair
        var origin: PathOrigin
        let since: Instant
        /// Questions that it may be asked.
        var credit: Int
        var last: Instant?
        /// Questions that it was asked.
        var questions = 0
        /// When it answered.
        var answered: Instant?
    }

    struct Question {
        let token: UInt64
        let place: AddressPair
        let length: Int
        let sent: Instant
    }

    init(_ rules: PathRules, at present: AddressPair?, _ lengths: PathLengths) {
        self.lengths = lengths
        search = present.map { lengths.search(to: $0) }
        self.rules = rules
        self.present = present
    }

    // MARK: What it hears

    /// The file, or the peer, says something else of it.
    mutating func set(_ rules: PathRules) { self.rules = rules }

    /// What the host leads to the peer by may take more or less now.
    mutating func measure() {
        if let present { search?.setMost(lengths.most(present.remote)) }
    }

    /// The longest inner packet that is known to pass whole; nil while none is.
    var proven: Int? { rules.answering == .never ? nil : search?.proven }

    /// Somebody moved the peer, who had a better reason than any of ours: the file.
    mutating func set(_ place: AddressPair?) {
        guard place != present else { return }
        present = place
        trial = Trial()
        lastAnswer = nil
        search = place.map { lengths.search(to: $0) }
        candidates.removeAll { $0.place.remote == place?.remote }
    }

    /// The file's name for the peer stands for these places now.
    mutating func setNamed(_ places: [Endpoint], isRenamed: Bool, at now: Instant) -> PathAction? {
        rules.named = places
        guard let first = places.first else { return nil }
        guard let present else {
            set(AddressPair(first))
            return .move(to: AddressPair(first))
        }
        candidates.removeAll { $0.origin == .newName }
        guard isRenamed, rules.answering != .never, !places.contains(present.remote) else { return nil }
        for place in places { add(AddressPair(place), by: .newName, at: now) }
        return nil
    }

    /// The peer might be there.
    mutating func suggest(_ place: AddressPair, by origin: PathOrigin, at now: Instant) -> PathAction? {
        // Which of its name's places is the peer's, the file doesn't say.
        guard !rules.isPinned || rules.named.contains(place.remote) else { return nil }
        if let present, present.remote == place.remote {
            // The same place. Who is called there answers from the address that was called.
            guard origin == .session, let local = place.local, local != present.local else { return nil }
            self.present = place
            return .move(to: place)
        }
        if origin != .source, present == nil || rules.answering == .never {
            set(place)
            return .move(to: place)
        }
        guard rules.answering != .never else { return nil }
        add(place, by: origin, at: now)
        trial.isDoubted = true
        return nil
    }

    private mutating func add(_ place: AddressPair, by origin: PathOrigin, at now: Instant) {
        let credit = origin == .source ? 1 : Self.sessionCredit
        if let known = candidates.firstIndex(where: { $0.place.remote == place.remote }) {
            candidates[known].place = place
            if origin > candidates[known].origin {
                candidates[known].origin = origin
                candidates[known].questions = 0
            }
            candidates[known].credit = max(candidates[known].credit, credit)
            return
        }
        if candidates.count >= Self.mostCandidates,
            let least = candidates.indices.min(by: { candidates[$0].origin < candidates[$1].origin })
        {
            guard candidates[least].origin <= origin else { return }
            candidates.remove(at: least)
        }
        candidates.append(Candidate(place: place, origin: origin, since: now, credit: credit))
    }

    /// An address of ours went: what left from it leaves from one of the kernel's choice.
    mutating func loseLocal(_ isOurs: (IPAddress) -> Bool) -> PathAction? {
        guard let present, let local = present.local, !isOurs(local) else { return nil }
        let place = AddressPair(present.remote)
        self.present = place
        return .move(to: place)
    }

    /// A probe was answered.
    mutating func answered(_ token: UInt64, at now: Instant) -> PathAction? {
        guard let index = asked.firstIndex(where: { $0.token == token }) else { return nil }
        let question = asked.remove(at: index)
        roundTrip.add(now.duration(since: question.sent))
        hasAnswered = true
        if question.place.remote == present?.remote {
            trial = Trial(unanswered: 0, last: trial.last, isDoubted: false)
            lastAnswer = now
            if question.length > PathProbe.byteCount { search?.passed(question.length, at: now) }
            // Who is where it was needn't be looked for, unless the file has come to say something else.
            candidates.removeAll { $0.origin != .newName }
            return nil
        }
        guard let index = candidates.firstIndex(where: { $0.place.remote == question.place.remote }) else { return nil }
        candidates[index].answered = now
        return yields(to: candidates[index], at: now) ? move(to: candidates[index].place, at: now) : nil
    }

    /// Whether another question of the peer's is answered now: 50 at once, and 50 a second.
    mutating func mayAnswer(at now: Instant) -> Bool { answers.admits(at: now) }

    /// A probe couldn't be sent, as while there are no keys: it says nothing of the path.
    mutating func notSent(_ token: UInt64) {
        guard let index = asked.firstIndex(where: { $0.token == token }) else { return }
        let question = asked.remove(at: index)
        if question.place == present { trial.unanswered = max(0, trial.unanswered - 1) }
        if let candidate = candidates.firstIndex(where: { $0.place == question.place }) {
            candidates[candidate].credit += 1
            candidates[candidate].questions -= 1
        }
    }

    mutating func move(to place: AddressPair, at now: Instant) -> PathAction {
        candidates.removeAll()
        present = place
        search = lengths.search(to: place)
        trial = Trial(unanswered: 0, last: now, isDoubted: false)
        lastAnswer = now
        return .move(to: place)
    }

    // MARK: Time

    /// Whether the present path doesn't answer (any more), or there is none.
    func isSilent(at now: Instant) -> Bool { isSilent(at: now, after: Self.questions) }

    private func isSilent(at now: Instant, after questions: Int) -> Bool {
        guard present != nil else { return true }
        guard trial.unanswered <= questions else { return true }
        guard trial.unanswered == questions, let last = trial.last else { return false }
        return now >= last.advanced(by: roundTrip.patience)
    }

    /// Whether data may go to a candidate that answered. A place that never answered is worth one question where a session is.
    func yields(to candidate: Candidate, at now: Instant) -> Bool {
        candidate.origin == .newName
            || isSilent(at: now, after: lastAnswer == nil && candidate.origin == .session ? 1 : Self.questions)
    }

    /// Whether it is looking for something.
    var isBusy: Bool { isAsking || !candidates.isEmpty || !asked.isEmpty }

    /// Whether somebody has to be believed or not yet.
    var isAsking: Bool { trial.isDoubted && trial.unanswered <= Self.questions }
}
