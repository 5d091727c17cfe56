#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Holds the programs that `make build` made to what they may take: shared libraries (of all that ldd names, less the kernel's own and
# the loader) and bytes, stripped.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0
fail() {
    failures=$((failures + 1))
    echo "check-programs: $*" >&2
}
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT

# check PROGRAM LIBRARIES MEBIBYTES PATTERN: LIBRARIES at most, none of PATTERN.
check() {
    local libraries size
    libraries=$(ldd ".build/release/$1" | awk '!/linux-vdso|ld-linux/ { print $1 }')
    strip -o "$stripped" ".build/release/$1"
    size=$(stat --format %s "$stripped")
    echo "$1: $(wc -l <<<"$libraries") shared libraries (at most $2), $((size / 100000))e5 bytes stripped (at most $3 million)"
    (($(wc -l <<<"$libraries") <= $2)) || fail "$1 has more shared libraries than $2:" "$libraries"
    ((size <= $3 * 1000000)) || fail "$1 has $size bytes"
    ! grep -E "$4" <<<"$libraries" || fail "$1 has libraries that it shouldn't have, see above"
    ! readelf --dynamic ".build/release/$1" | grep -E 'RPATH|RUNPATH' || fail "$1 says where its libraries are"
}

check weft 24 14 'gnutls|curl|krb5|gssapi|ldap|lber|sasl|dbus|pcap'
check weft-control 16 14 'curl|krb5|gssapi|ldap|lber|sasl|dbus|pcap|nftables|libnl|bpf'
((failures == 0)) || exit 1
