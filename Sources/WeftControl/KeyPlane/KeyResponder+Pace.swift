// SPDX-License-Identifier: Apache-2.0
import Weft

/// What keeps one initiator from taking the others' time: its requests wait once there are more of them than it may make,
/// and the engine hears of what all ask for in steps, so many a second at most. Who asks after a pause is answered at once.
///
/// A request that waits holds its stream, and of those a session has ``streams``: so whoever asks too much waits for
/// itself.
extension KeyResponder {
    /// The mean time between two steps of the engine's, at the least. One may come early, as much as the one before was late: else each ask
    /// of a steady row of them would wait as long as the latest one did.
    static let step = Duration.milliseconds(5)
    /// The shortest time between two moves of a session, each of which concerns all of its networks.
    static let moveInterval = Duration.seconds(1)

    /// A request or a release that was read, and waits for its turn.
    struct Request {
        let session: SessionID
        let stream: StreamID
        let message: ControlMessage
    }

    /// Takes what a stream brought in its turn.
    func take(_ message: ControlMessage, on stream: StreamID, _ session: KeySession, _ now: Instant) {
        let life = session.initiator
        // What was given up meanwhile is taken out once it is most of what is there.
        if life.row.count > 2 * life.waiting + Self.streams {
            life.row.removeAll { self.sessions[$0.session]?.waiting.contains($0.stream) != true }
        }
        session.waiting.insert(stream)
        life.row.append(Request(session: session.id, stream: stream, message: message))
        serve(life, at: now)
        guard !life.row.isEmpty else { return }
        paced[life.number] = life
        life.delayed += 1
        if life.lines.admits(at: now) {
            say(life, "asks more than \(life.policy.requestsPerSecond) times a second: it waits")
        }
    }

    /// Answers what an initiator may ask by now.
    private func serve(_ life: InitiatorLife, at now: Instant) {
        while let request = life.row.first {
            guard let session = sessions[request.session], session.waiting.contains(request.stream) else {
                _ = life.row.popFirst()
                continue
            }
            guard life.requests.admits(at: now) else { return }
            _ = life.row.popFirst()
            session.waiting.remove(request.stream)
            respond(to: request.message, on: request.stream, session, now)
        }
    }

    /// Goes on with those that have waited.
    func servePaced(at now: Instant) {
        for (number, life) in paced {
            serve(life, at: now)
            if life.row.isEmpty { paced[number] = nil }
        }
        for (id, place) in moving {
            guard let session = sessions[id] else {
                moving[id] = nil
                continue
            }
            if now >= session.nextMove { move(session, to: place, at: now) }
        }
    }

    /// When ``servePaced(at:)`` and ``commit(at:)`` have something to do.
    var nextPacedDeadline: Instant {
        var deadline = stepDeadline
        // Nobody is waited for more finely than the engine is told.
        for life in paced.values { deadline = min(deadline, max(life.requests.next, nextStep)) }
        for id in moving.keys { deadline = min(deadline, sessions[id]?.nextMove ?? nextStep) }
        return deadline
    }

    // MARK: Steps

    /// When the engine is to be told of what is staged.
    var stepDeadline: Instant {
        guard !staged.isEmpty else { return .distantFuture }
        return max(nextStep, staged.notBefore ?? nextStep)
    }

    /// Keeps a place in the row of steps for the one that begins now.
    func takeStep(at now: Instant) {
        // One that came out of turn, for a reload, puts off the next one alone.
        nextStep = min(max(nextStep.advanced(by: Self.step), now), now.advanced(by: Self.step))
    }

    // MARK: Places

    /// Whether data may be sent to an initiator there. What is routed into the tunnel would be sealed again and again.
    func admits(_ place: Endpoint) -> Bool {
        !configuration.tunnelled.contains { $0.contains(place.address) }
    }

    /// A session's initiator is elsewhere.
    func moved(_ id: SessionID, to place: AddressPair, at now: Instant) {
        guard let session = sessions[id] else { return }
        guard admits(place.remote) else {
            moving[id] = nil
            return note(.tunnelled, by: session.initiator, now)
        }
        if now >= session.nextMove { move(session, to: place, at: now) } else { moving[id] = place }
    }

    private func move(_ session: KeySession, to place: AddressPair, at now: Instant) {
        moving[session.id] = nil
        guard session.place != place else { return }
        session.place = place
        session.nextMove = now.advanced(by: Self.moveInterval)
        staged.changed.formUnion(session.granted)
    }
}
