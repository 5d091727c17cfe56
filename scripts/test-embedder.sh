#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a program of a few lines against the sources in the package weft-dev, as an embedder would, and runs it.
#   scripts/test-embedder.sh PACKAGE.deb
set -euo pipefail
package=$(readlink -f "${1:?"usage: scripts/test-embedder.sh PACKAGE.deb"}")
place=$(dirname "$0")/../.build/embedder
rm -rf "$place"
mkdir -p "$place/Sources/embedder"
cd "$place"
dpkg-deb --extract "$package" package

cat >Package.swift <<'EOF'
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "embedder",
    dependencies: [.package(path: "package/usr/share/weft")],
    targets: [
        .executableTarget(
            name: "embedder",
            dependencies: [
                .product(name: "Weft", package: "weft"), .product(name: "WeftTUN", package: "weft"),
                .product(name: "WeftTunnelMap", package: "weft"),
            ])
    ])
EOF
cat >Sources/embedder/main.swift <<'EOF'
import Weft
import WeftTUN
import WeftTunnelMap

let prefix = Prefix("10.77.0.0/16")
print("embedded \(prefix.map { "\($0)" } ?? "nothing")")
EOF
swift build
[[ $(.build/debug/embedder) == "embedded 10.77.0.0/16" ]] || {
    echo "test-embedder: it doesn't run" >&2
    exit 1
}
echo "an embedder builds against $(basename "$package") and runs"
