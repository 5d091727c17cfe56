// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite("A year in an hour")
    struct Soak {
        @Test("Whatever happens to a host, its tunnel comes back by itself, and nothing leaves in the clear")
        func year() async throws {
            let plan = SoakPlan.fromEnvironment()
            print("soak: \(plan.steps.map(\.count).reduce(0, +)) events, WEFT_SOAK_SEED=\(plan.seed)")
            var report = SoakReport()
            await withTaskGroup(of: SoakReport.self) { group in
                for (kind, steps) in zip(SoakTopology.Kind.all, plan.steps) where !steps.isEmpty {
                    group.addTask { await SoakRun(plan: plan, kind: kind, steps: steps).run() }
                }
                for await part in group { report.add(part) }
            }
            print(report.text)
            if let path = ProcessInfo.processInfo.environment["WEFT_SOAK_JSON"] {
                try JSONEncoder().encode(report.outcomes).write(to: URL(fileURLWithPath: path))
            }
        }
    }
}
