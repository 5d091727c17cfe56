// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let package = Package(
    name: "weft-benchmarks",
    dependencies: [.package(name: "weft", path: "..")],
    targets: [
        .executableTarget(
            name: "weft-bench-engine", dependencies: [.product(name: "Weft", package: "weft")],
            swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error), .enableExperimentalFeature("Lifetimes")])
    ],
    swiftLanguageModes: [.v6]
)
