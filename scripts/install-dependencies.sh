#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a purpose needs, if any are missing. Where Debian's own ngtcp2 is too old it comes
# from the release's backports, which are added for it alone:
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

build=(make pkg-config libssl-dev libnl-route-3-dev libnftables-dev libcap-dev libseccomp-dev libbpf-dev
    linux-libc-dev libngtcp2-dev libngtcp2-crypto-gnutls-dev libgnutls28-dev libcurl4-openssl-dev libc-ares-dev)
# Debian packages ipsec-mb for amd64 only; everywhere else OpenSSL seals.
[[ $(uname -m) != x86_64 ]] || build+=(libipsec-mb-dev)
# The linker that Swift takes, which later Debians have in a package of its own.
command -v ld.gold >/dev/null || build+=(binutils-gold)
# What makes hosts out of namespaces, and looks at them.
hosts=(iproute2 iputils-ping util-linux ethtool tcpdump)

packages=()
for purpose; do
    case $purpose in
    build | fuzz) packages+=("${build[@]}") ;;
    demo) packages+=("${build[@]}" "${hosts[@]}" iperf3 socat) ;;
    test) packages+=("${build[@]}" "${hosts[@]}" nftables conntrack procps systemd iperf3 coturn python3-venv etcd-server etcd-client) ;;
    bench) packages+=("${build[@]}" "${hosts[@]}" iperf3 nftables wireguard-go wireguard-tools nebula gcc libc6-dev python3) ;;
    deb) packages+=("${build[@]}" debhelper dpkg-dev lintian) ;;
    chroot) packages+=(debootstrap debian-archive-keyring iproute2 iputils-ping util-linux) ;;
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

# The QUIC library that the sources are written for; what a package is called that it comes in.
quic_version=1.11
is_quic() { [[ $1 == libngtcp2-* ]]; }

missing=()
for package in "${packages[@]}"; do
    # One line for each architecture that the package is known for.
    status=$(dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$package" 2>/dev/null || true)
    version=$(sed -n 's/^installed //p' <<<"$status" | head -n 1)
    if [[ -z $version ]] || { is_quic "$package" && dpkg --compare-versions "$version" lt "$quic_version"; }; then
        missing+=("$package")
    fi
done
((${#missing[@]} > 0)) || exit 0

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "install-dependencies: packages are missing and only root can install them: ${missing[*]}" >&2
        echo "Run as root: $0 $*" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing Debian packages for $*: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Another apt may be at work: it is waited for.
# Another apt may be at work, as on a machine that has just started: it is waited for.
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" >>"$log" 2>&1
}

# A source that can't be reached need not be one that we need: the installation decides. The lock on the lists is the
# one that apt itself doesn't wait for.
update() {
    local began
    for ((began = SECONDS; SECONDS - began < 600; )); do
        : >"$log"
        apt update && return
        grep -q 'Could not get lock' "$log" || return 0
        sleep 2
    done
}

# has_quic: whether apt would install a library that is new enough.
has_quic() {
    local candidate
    candidate=$(apt-cache policy libngtcp2-dev | sed -n 's/^ *Candidate: //p')
    [[ -n $candidate && $candidate != "(none)" ]] && dpkg --compare-versions "$candidate" ge "$quic_version"
}

# entry RELEASE: where apt's own sources name that release's main section, as FILE:NUMBER.
entry() {
    # shellcheck disable=SC2016 # The parameter is apt's.
    apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' 'Component: main' "Release: $1" | head -n 1
}

# with_backports FILE RELEASE: what FILE says of the release, said of its backports.
with_backports() {
    if [[ $1 == *.sources ]]; then
        awk -v RS= -v FS='\n' -v suite="$2" '
            {
                text = ""
                found = in_suites = 0
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^#/) continue
                    if ($i !~ /^[ \t]/) in_suites = tolower($i) ~ /^suites:/
                    if (in_suites && " " $i " " ~ "[ \t]" suite "[ \t]") found = 1
                    if (!in_suites) text = text $i "\n"
                    else if ($i !~ /^[ \t]/) text = text "Suites: " suite "-backports\n"
                }
                if (found) { printf "%s", text; exit }
            }' "$1"
    else
        awk -v suite="$2" '
            $1 == "deb" {
                for (i = 2; i <= NF; i++) if ($i == suite) { $i = suite "-backports"; print; exit }
            }' "$1"
    fi
}

# Has apt take the QUIC library, and nothing else, from the backports of the Debian that runs here.
add_backports() {
    local release=$1 place from text pins
    place=/etc/apt/sources.list.d/weft-ngtcp2
    pins="Package: libngtcp2*
Pin: release n=$release-backports
Pin-Priority: 500"
    if [[ -z $(entry "$release-backports") ]]; then
        from=$(entry "$release")
        from=${from%:*}
        [[ -n $from ]] || return 0
        text=$(with_backports "$from" "$release")
        [[ -n $text ]] || return 0
        place+=.${from##*.}
        printf '%s\n' "# Added by Weft's scripts/install-dependencies.sh for ngtcp2 alone, see preferences.d." "$text" |
            "${as_root[@]}" tee "$place" >/dev/null
        pins+="

Package: *
Pin: release n=$release-backports
Pin-Priority: -1"
    fi
    printf '%s\n' "# Weft needs ngtcp2 $quic_version or newer." "$pins" |
        "${as_root[@]}" tee /etc/apt/preferences.d/weft-ngtcp2 >/dev/null
    echo "ngtcp2 is older than $quic_version in $release: it comes from $release-backports, which nothing else is taken" \
        "from (/etc/apt/preferences.d/weft-ngtcp2)"
    update
}

update
for package in "${missing[@]}"; do
    is_quic "$package" || continue
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    has_quic || [[ -z $release ]] || add_backports "$release"
    if ! has_quic; then
        echo "install-dependencies: no source of apt's has ngtcp2 $quic_version or newer (libngtcp2-dev): add one" >&2
        exit 1
    fi
    break
done
if ! apt install --no-install-recommends "${missing[@]}"; then
    echo "install-dependencies: apt-get could not install: ${missing[*]}" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
