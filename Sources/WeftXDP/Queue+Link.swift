// SPDX-License-Identifier: Apache-2.0
import Weft

/// The interfaces, which come and go, and what the queue says of itself.
extension Queue {
    /// Binds anew when an interface went or came back.
    mutating func followLinks(_ now: Instant) {
        followUnderlay(now)
        followOverlay(now)
    }

    private mutating func followOverlay(_ now: Instant) {
        guard overlayGeneration != overlayLink.generation || (overlay == nil && now >= nextOverlayTry) else { return }
        let state = overlayLink.current
        if overlayGeneration != state.generation {
            overlayGeneration = state.generation
            missedBefore &+= overlay?.missed ?? 0
            overlay = nil
            pool.recoverAll(from: .overlayReceive)
            pool.recoverAll(from: .overlayTransmit)
        }
        nextOverlayTry = now.advanced(by: .milliseconds(200))
        guard overlay == nil, let interface = state.interface else { return }
        overlay = try? Self.connect(.overlay, interface, number, &pool, program, options)
    }

    private mutating func followUnderlay(_ now: Instant) {
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
            underlay: nil, frames: pool.count, accounted: accounted,
            inFlight: pool.count(of: .underlayTransmit) + pool.count(of: .overlayTransmit),
            missed: missedBefore, sentByKernel: sentByKernel)
        switch underlay {
        case .some(let socket):
            status.underlay = socket.copying
            status.missed &+= socket.missed
        case nil: break
        }
        switch overlay {
        case .some(let socket): status.missed &+= socket.missed
        case nil: break
        }
        return status
    }

    /// The status before it runs.
    var firstStatus: XDPQueueStatus { status(pool.count) }
}
