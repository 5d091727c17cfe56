// SPDX-License-Identifier: Apache-2.0
import Weft

/// The underlay's interface, which comes and goes, and what the queue says of itself.
extension Queue {
    /// Binds anew when the underlay's interface went or came back.
    mutating func followLink(_ now: Instant) {
        guard generation != link.generation || (underlay == nil && now >= nextTry) else { return }
        let state = link.current
        if generation != state.generation {
            generation = state.generation
            closeUnderlay()
        }
        nextTry = now.advanced(by: .milliseconds(200))
        guard underlay == nil, let interface = state.interface else { return }
        underlay = try? Self.connect(.underlay, interface, number, &pool, program, options)
    }

    private mutating func closeUnderlay() {
        missedBefore &+= underlay?.missed ?? 0
        underlay = nil
        // Closed: what it had is ours again.
        pool.recoverAll(from: .underlayReceive)
        pool.recoverAll(from: .underlayTransmit)
    }

    /// Says how it stands, ten times a second.
    mutating func publish(to report: QueueReport, _ now: Instant) {
        nextReport = now.advanced(by: .milliseconds(100))
        tooBigLeft = Self.tooBigPerTick
        let accounted = FramePool.Holder.allCases.reduce(0) { $0 + ($1 == .hand ? 0 : pool.count(of: $1)) }
        report.set(status(accounted))
    }

    /// - Parameter accounted: frames that are free or with the kernel.
    private func status(_ accounted: Int) -> XDPQueueStatus {
        var status = XDPQueueStatus(
            underlay: nil, overlay: overlay.copying, frames: pool.count, accounted: accounted,
            inFlight: pool.count(of: .underlayTransmit) + pool.count(of: .overlayTransmit),
            missed: missedBefore &+ overlay.missed, sentByKernel: sentByKernel)
        switch underlay {
        case .some(let socket):
            status.underlay = socket.copying
            status.missed &+= socket.missed
        case nil: break
        }
        return status
    }

    /// The status before it runs.
    var firstStatus: XDPQueueStatus { status(pool.count) }
}
