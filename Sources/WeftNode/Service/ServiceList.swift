// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Weft

/// Runs services: each on a thread of its own, started in the order of the list and ended in the opposite one.
final class ServiceList: Sendable {

    /// A thread that can be listed with others.
    private final class Running: Sendable {
        let service: any NodeService
        let thread: Mutex<WorkerThread?>

        init(_ service: any NodeService, _ body: @escaping @Sendable () -> Void) throws(TransportError) {
            self.service = service
            thread = Mutex(try WorkerThread(name: service.name, body))
        }

        /// Waits for its end.
        func join() { thread.withLock { $0.take() }?.join() }
    }

    private let running = Mutex<[Running]>([])
    private let isClosing = Atomic(false)
    private let failure = Mutex<String?>(nil)
    private let onFailure: @Sendable () -> Void
    private let log: @Sendable (String) -> Void

    /// The longest time after which a service that ended by itself is started anew.
    private static let longestPause: UInt32 = 10

    /// - Parameters:
    ///   - log: takes a line for people.
    ///   - onFailure: called when an essential service has ended by itself, from its thread.
    init(log: @escaping @Sendable (String) -> Void, onFailure: @escaping @Sendable () -> Void) {
        self.log = log
        self.onFailure = onFailure
    }

    /// Why an essential service ended by itself; nil while none did.
    var failureText: String? { failure.withLock { $0 } }

    /// What is wrong at present, by the services' names.
    var complaints: [(name: String, text: String)] {
        running.withLock { $0.map(\.service) }.compactMap { service in service.complaint.map { (service.name, $0) } }
    }

    /// Starts a service.
    func start(_ service: any NodeService) throws(TransportError) {
        let entry = try Running(service) { self.run(service) }
        running.withLock { $0.append(entry) }
    }

    private func run(_ service: any NodeService) {
        var pause: UInt32 = 1
        while true {
            var why = "it ended by itself"
            do throws(ServiceFailure) { try service.run() } catch { why = error.description }
            guard !isClosing.load(ordering: .acquiring) else { return }
            if service.isEssential {
                failure.withLock { $0 = $0 ?? why }
                return onFailure()
            }
            log("\(service.name): \(why): it is started again in \(pause) s")
            for _ in 0..<pause * 10 where !isClosing.load(ordering: .acquiring) { usleep(100_000) }
            guard !isClosing.load(ordering: .acquiring) else { return }
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Ends all of them, the last one first, each before the next.
    func close() {
        isClosing.store(true, ordering: .releasing)
        while let last = running.withLock({ $0.popLast() }) {
            last.service.close()
            last.join()
        }
    }
}
