// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// scripts/fuzz.sh builds and runs this; the sanitizers' flags are there, since a manifest may not set them.
let package = Package(
    name: "weft-fuzz",
    dependencies: [.package(name: "weft", path: "..")],
    targets: [
        .target(name: "CFuzzer"),
        .executableTarget(
            name: "weft-fuzz",
            dependencies: [
                "CFuzzer", .product(name: "Weft", package: "weft"), .product(name: "WeftConfig", package: "weft"),
                .product(name: "WeftControl", package: "weft"), .product(name: "WeftQUIC", package: "weft"),
                .product(name: "WeftPair", package: "weft"),
                .product(name: "WeftNames", package: "weft"), .product(name: "WeftDNS", package: "weft"),
                .product(name: "WeftDiscovery", package: "weft"),
                .product(name: "WeftProxy", package: "weft"), .product(name: "WeftSockets", package: "weft"),
                .product(name: "WeftCapture", package: "weft"),
                .product(name: "WeftTunnelMap", package: "weft"),
                .product(name: "WeftEtcd", package: "weft"),
                .product(name: "WeftLink", package: "weft"),
            ],
            swiftSettings: [
                .strictMemorySafety(), .treatAllWarnings(as: .error), .enableExperimentalFeature("Lifetimes"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
