#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the packages of what is committed twice, from nothing, in folders of two names and depths, and compares their sums.
set -euo pipefail
cd "$(dirname "$0")/.."

place=$(mktemp -d "${TMPDIR:-/tmp}/weft-reproducible.XXXXXX")
trap 'rm -rf "$place"' EXIT
for folder in one another/deeper; do
    git clone --quiet . "$place/$folder"
    make -C "$place/$folder" deb >"$place/log" 2>&1 || { tail -n 20 "$place/log" >&2 && exit 1; }
    cp "$place/$folder"/.build/packages/debian*/SHA256SUMS "$place/${folder%%/*}.sums"
done
cat "$place/one.sums"
diff "$place/one.sums" "$place/another.sums" || {
    echo "test-reproducible: two builds differ" >&2
    exit 1
}
echo "two builds gave the same bytes"
