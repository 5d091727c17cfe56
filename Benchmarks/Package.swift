// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

func benchmark(_ name: String, _ products: [String]) -> Target {
    .executableTarget(
        name: name, dependencies: products.map { .product(name: $0, package: "weft") },
        swiftSettings: [
            .strictMemorySafety(), .treatAllWarnings(as: .error), .enableExperimentalFeature("Lifetimes"),
        ])
}

let package = Package(
    name: "weft-benchmarks",
    dependencies: [.package(name: "weft", path: "..")],
    targets: [
        benchmark("weft-bench-engine", ["Weft"]),
        benchmark("weft-bench-keys", ["Weft", "WeftUDP", "WeftControl", "WeftQUIC", "WeftKeys", "WeftConfig"]),
        benchmark("weft-bench-map", ["Weft", "WeftTunnelMap"]),
        benchmark("weft-bench-peers", ["Weft", "WeftControl", "WeftQUIC", "WeftUDP"]),
        benchmark("weft-bench-tunnel", ["Weft", "WeftTUN", "WeftXDP"]),
    ],
    swiftLanguageModes: [.v6]
)
