// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

// Debian packages ipsec-mb for amd64 only; everywhere else OpenSSL seals.
#if arch(x86_64)
    let ipsecMB: [Target.Dependency] = ["CWeftIPSecMB"]
    let ipsecMBTarget: [Target] = [.systemLibrary(name: "CWeftIPSecMB")]
#else
    let ipsecMB: [Target.Dependency] = []
    let ipsecMBTarget: [Target] = []
#endif

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

/// A module whose folder `BPF/` holds eBPF programs, which it gets as `BPFObject.NAME`.
func moduleWithBPF(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: name, dependencies: dependencies, exclude: ["BPF"], swiftSettings: swiftSettings, plugins: ["BPFPlugin"])
}

let package = Package(
    name: "weft",
    products: [
        .library(name: "Weft", targets: ["Weft"]),
        .library(name: "WeftTUN", targets: ["WeftTUN"]),
        .library(name: "WeftUDP", targets: ["WeftUDP"]),
        .library(name: "WeftSockets", targets: ["WeftSockets"]),
        .library(name: "WeftPrivate", targets: ["WeftPrivate"]),
        .library(name: "WeftProxy", targets: ["WeftProxy"]),
        .library(name: "WeftXDP", targets: ["WeftXDP"]),
        .library(name: "WeftLink", targets: ["WeftLink"]),
        .library(name: "WeftGuard", targets: ["WeftGuard"]),
        .library(name: "WeftTunnelMap", targets: ["WeftTunnelMap"]),
        .library(name: "WeftEtcd", targets: ["WeftEtcd"]),
        .library(name: "WeftControl", targets: ["WeftControl"]),
        .library(name: "WeftQUIC", targets: ["WeftQUIC"]),
        .library(name: "WeftKeys", targets: ["WeftKeys"]),
        .library(name: "WeftNames", targets: ["WeftNames"]),
        .library(name: "WeftDNS", targets: ["WeftDNS"]),
        .library(name: "WeftPair", targets: ["WeftPair"]),
        .library(name: "WeftPaths", targets: ["WeftPaths"]),
        .library(name: "WeftNode", targets: ["WeftNode"]),
        .library(name: "WeftConfig", targets: ["WeftConfig"]),
        .library(name: "WeftFiles", targets: ["WeftFiles"]),
        .library(name: "WeftCapture", targets: ["WeftCapture"]),
        .library(name: "WeftDiscovery", targets: ["WeftDiscovery"]),
        .library(name: "WeftSandbox", targets: ["WeftSandbox"]),
    ],
    targets: ipsecMBTarget + [
        .systemLibrary(name: "CWeftOpenSSL", pkgConfig: "libcrypto"),
        .systemLibrary(name: "CWeftNetlink", pkgConfig: "libnl-route-3.0"),
        .systemLibrary(name: "CWeftNftables", pkgConfig: "libnftables"),
        .systemLibrary(name: "CWeftCapability", pkgConfig: "libcap"),
        .systemLibrary(name: "CWeftBPF", pkgConfig: "libbpf"),
        .systemLibrary(name: "CWeftSeccomp", pkgConfig: "libseccomp"),
        .systemLibrary(name: "CWeftQUIC"),
        .systemLibrary(name: "CWeftCurl", pkgConfig: "libcurl"),
        .systemLibrary(name: "CWeftAres", pkgConfig: "libcares"),
        .systemLibrary(name: "CWeftTunnelMap"),
        .target(name: "CWeftLinux"),
        .plugin(name: "BPFPlugin", capability: .buildTool(), dependencies: ["bpf-embed"]),
        .executableTarget(name: "bpf-embed", swiftSettings: swiftSettings),
        module("Weft", ["CWeftOpenSSL", "CWeftLinux"] + ipsecMB),
        module("WeftUDP", ["Weft", "CWeftLinux"]),
        module("WeftTUN", ["Weft", "WeftUDP", "WeftLink", "CWeftLinux"]),
        module("WeftSockets", ["Weft", "CWeftLinux"]),
        module("WeftProxy", ["WeftSockets", "Weft"]),
        module("WeftPrivate", ["WeftSockets", "WeftTUN", "WeftLink", "Weft", "CWeftLinux"]),
        module("WeftLink", ["Weft", "CWeftNetlink"]),
        module("WeftGuard", ["Weft", "WeftLink", "CWeftNftables", "CWeftNetlink"]),
        moduleWithBPF("WeftXDP", ["Weft", "WeftUDP", "WeftLink", "CWeftBPF", "CWeftLinux"]),
        moduleWithBPF(
            "WeftTunnelMap",
            [
                "Weft", "WeftControl", "WeftFiles", "CWeftBPF", "CWeftTunnelMap", "CWeftCapability", "CWeftLinux",
                "CWeftOpenSSL",
            ]),
        module("WeftEtcd", ["Weft", "CWeftCurl"]),
        module("WeftFiles", ["Weft"]),
        module("WeftControl", ["WeftFiles", "Weft", "CWeftOpenSSL"]),
        module("WeftCapture", ["Weft"]),
        module("WeftSandbox", ["Weft", "CWeftSeccomp", "CWeftCapability", "CWeftLinux"]),
        module("WeftDiscovery", ["Weft", "WeftUDP", "CWeftLinux"]),
        module("WeftConfig", ["WeftControl", "WeftFiles", "Weft", "WeftDiscovery", "CWeftOpenSSL"]),
        module("WeftQUIC", ["WeftControl", "Weft", "CWeftQUIC"]),
        module("WeftPaths", ["Weft"]),
        module("WeftNames", ["Weft"]),
        module("WeftDNS", ["WeftNames", "Weft", "CWeftAres"]),
        module("WeftPair", ["WeftControl", "WeftNames", "Weft", "CWeftLinux"]),
        module(
            "WeftNode",
            [
                "WeftCommand", "Weft", "WeftTUN", "WeftPrivate", "WeftProxy", "WeftSockets", "WeftUDP", "WeftXDP",
                "WeftLink",
                "WeftGuard", "WeftControl",
                "WeftPair", "WeftPaths", "WeftNames", "WeftConfig", "WeftFiles",
                "WeftDiscovery", "WeftSandbox", "CWeftLinux",
            ]),
        module("WeftKeys", ["WeftControl", "WeftQUIC", "WeftUDP", "Weft"]),
        module("WeftCommand", ["Weft", "WeftControl", "WeftFiles", "CWeftCapability", "CWeftLinux"]),
    ],
    swiftLanguageModes: [.v6]
)

// -- The programs and the tests. The package weft-dev has what is above this line. --

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

package.products += [
    .executable(name: "weft", targets: ["weft"]),
    .executable(name: "weft-control", targets: ["weft-control"]),
    .executable(name: "weft-map", targets: ["weft-map"]),
    // For tests alone, which need it as a file.
    .library(name: "SteppedClock", type: .dynamic, targets: ["SteppedClock"]),
]

package.targets += [
    module("WeftControlProcess", ["WeftPair", "WeftQUIC", "WeftControl", "WeftNames", "WeftDNS", "Weft"]),
    .executableTarget(
        name: "weft",
        dependencies: [
            "WeftCommand", "WeftNode", "WeftPrivate", "WeftFiles", "WeftSandbox", "Weft", "WeftControl", "WeftConfig",
            "WeftDiscovery",
            "WeftCapture", "CWeftCapability", "CWeftLinux", "SanitizedMutex",
        ],
        swiftSettings: swiftSettings),
    .executableTarget(
        name: "weft-control",
        dependencies: [
            "WeftControlProcess", "WeftPair", "WeftDNS", "WeftQUIC", "WeftSandbox", "WeftControl", "Weft",
            "SanitizedMutex",
        ],
        swiftSettings: swiftSettings),
    .executableTarget(
        name: "weft-map",
        dependencies: [
            "WeftCommand", "WeftTunnelMap", "WeftEtcd", "WeftControl", "WeftFiles", "Weft", "CWeftCapability",
            "CWeftLinux",
            "SanitizedMutex",
        ],
        swiftSettings: swiftSettings),
    .target(
        name: "WeftTestSupport", dependencies: ["SanitizedMutex"], path: "Tests/Support",
        swiftSettings: swiftSettings),
    // Without it the thread sanitizer takes what Swift's Mutex guards for races. Otherwise there is nothing in it.
    .target(name: "SanitizedMutex", path: "Tests/SanitizedMutex"),
    // Counts allocations for the test that a steady tunnel makes none.
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    // A resolver that answers as a test says.
    .target(name: "TestResolver", dependencies: ["Weft"], path: "Tests/TestResolver", swiftSettings: swiftSettings),
    // Gives a host of the tests a wall clock that can be stepped, and nobody else.
    .target(name: "SteppedClock", path: "Tests/SteppedClock"),
    tests("WeftPathsTests", ["WeftPaths", "Weft", "WeftTestSupport"]),
    tests("WeftTests", ["Weft", "WeftTestSupport", "AllocationCounter"]),
    tests("WeftTUNTests", ["WeftTUN", "WeftUDP", "Weft", "WeftTestSupport", "AllocationCounter"]),
    tests("WeftUDPTests", ["WeftUDP", "Weft", "CWeftLinux", "WeftTestSupport"]),
    tests("WeftXDPTests", ["WeftXDP", "Weft", "CWeftLinux", "WeftTestSupport"]),
    tests("WeftControlTests", ["WeftControl", "Weft", "WeftTestSupport"]),
    tests("WeftCaptureTests", ["WeftCapture", "Weft", "WeftTestSupport"]),
    tests("WeftDiscoveryTests", ["WeftDiscovery", "Weft", "WeftUDP", "WeftTestSupport"]),
    tests("WeftTunnelMapTests", ["WeftTunnelMap", "Weft", "CWeftBPF", "CWeftTunnelMap", "WeftTestSupport"]),
    .testTarget(
        name: "WeftQUICTests",
        dependencies: ["WeftQUIC", "WeftKeys", "WeftUDP", "WeftControl", "Weft", "WeftTestSupport"],
        exclude: [
            "Aioquic/peer.py", "Aioquic/hostile.py", "Aioquic/keys.py", "Aioquic/ratchet.py", "Aioquic/weft1.py",
        ],
        swiftSettings: swiftSettings),
    tests("WeftKeysTests", ["WeftKeys", "WeftUDP", "WeftControl", "Weft"]),
    tests("WeftFilesTests", ["WeftFiles", "Weft", "WeftTestSupport"]),
    tests("WeftConfigTests", ["WeftConfig", "WeftControl", "WeftFiles", "WeftTestSupport"]),
    tests("WeftCommandTests", ["WeftCommand", "WeftTestSupport"]),
    tests("WeftEtcdTests", ["WeftEtcd"]),
    // Confines itself and tries what it is told, for the tests of that.
    .executableTarget(
        name: "sandbox-probe", dependencies: ["WeftSandbox", "Weft", "CWeftSeccomp", "CWeftLinux", "CTestSupport"],
        path: "Tests/SandboxProbe", swiftSettings: swiftSettings),
    tests("WeftSandboxTests", ["WeftSandbox", "Weft", "sandbox-probe", "CTestSupport"]),
    tests(
        "WeftNodeTests",
        [
            "WeftNode", "WeftPair", "WeftNames", "WeftUDP", "WeftControl", "WeftCommand", "WeftConfig", "Weft",
            "CWeftLinux",
            "WeftTestSupport",
        ]),
    tests("WeftPairTests", ["WeftPair", "WeftControl", "WeftNames", "Weft", "WeftTestSupport"]),
    tests("WeftNamesTests", ["WeftNames", "WeftDNS", "Weft", "WeftTestSupport", "TestResolver"]),
    tests("WeftSocketsTests", ["WeftSockets", "Weft"]),
    tests("WeftProxyTests", ["WeftProxy", "Weft"]),
    tests("WeftLinkTests", ["WeftLink", "WeftTestSupport"]),
    tests("WeftGuardTests", ["WeftGuard", "WeftLink", "Weft", "WeftTestSupport"]),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    tests(
        "IntegrationTests",
        [
            "weft", "weft-control", "weft-map", "WeftNode", "Weft", "WeftTUN", "WeftXDP", "WeftQUIC", "WeftControl",
            "WeftKeys", "WeftUDP", "CWeftLinux", "CWeftOpenSSL",
            "CTestSupport", "WeftTestSupport", "TestResolver",
        ]),
]
