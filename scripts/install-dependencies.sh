#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a purpose needs, if any are missing:
#   scripts/install-dependencies.sh [--list] build|demo|test|lint|bench|fuzz...
# With --list it prints the packages and installs nothing.
set -euo pipefail

usage() {
    echo "usage: scripts/install-dependencies.sh [--list] build|demo|test|lint|bench|fuzz..." >&2
    exit 2
}

list_only=no
if [[ ${1:-} == --list ]]; then
    list_only=yes
    shift
fi
(($# > 0)) || usage

build=(make pkg-config libssl-dev libnl-route-3-dev libcap-dev libseccomp-dev libpcap-dev libbpf-dev linux-libc-dev
    libngtcp2-dev libngtcp2-crypto-gnutls-dev libgnutls28-dev libcurl4-openssl-dev)
# Debian packages ipsec-mb for amd64 only; everywhere else OpenSSL seals.
[[ $(uname -m) != x86_64 ]] || build+=(libipsec-mb-dev)
# What makes hosts out of namespaces, and looks at them.
hosts=(iproute2 iputils-ping util-linux ethtool tcpdump)

packages=()
for purpose; do
    case $purpose in
    build | fuzz) packages+=("${build[@]}") ;;
    demo) packages+=("${build[@]}" "${hosts[@]}" iperf3 socat) ;;
    test) packages+=("${build[@]}" "${hosts[@]}" nftables systemd iperf3 coturn python3-venv etcd-server etcd-client) ;;
    bench) packages+=("${build[@]}" "${hosts[@]}" iperf3 nftables wireguard-go wireguard-tools nebula gcc libc6-dev python3) ;;
    lint) packages+=(make shellcheck groff-base) ;;
    *) usage ;;
    esac
done
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

if [[ $list_only == yes ]]; then
    printf '%s\n' "${packages[@]}"
    exit
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-dependencies: this is no Debian: see that you have what these packages hold:" "${packages[@]}" >&2
    # It may all be there: let the build or the demo say what it lacks.
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    # One line for each architecture that the package is known for.
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    grep -qx installed <<<"$status" || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "install-dependencies: packages are missing and only root can install them. Run as root:" >&2
        echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing Debian packages for $*: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >>"$log" 2>&1
}

# A source that can't be reached need not be one that we need: the installation decides.
apt update || true
if ! apt install --no-install-recommends "${missing[@]}"; then
    echo "install-dependencies: apt-get could not install: ${missing[*]}" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
