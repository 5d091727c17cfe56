#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the packages for a Debian and tries them there, as root: in a bare chroot, then under a systemd of its own with a tunnel and a map
# up: installed, upgraded and purged. It says how many packets an upgrade cost, and fails if anything is left.
#   scripts/test-deb.sh bookworm|trixie
set -euo pipefail
cd "$(dirname "$0")/.."

release=${1:?"usage: scripts/test-deb.sh bookworm|trixie"}
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $release in
bookworm) number=12 ;;
trixie) number=13 ;;
*) echo "test-deb: no such Debian: $release" >&2 && exit 2 ;;
esac

fail() {
    echo "test-deb: $release: $*" >&2
    exit 1
}
say() { echo "$release: $*"; }

work=$PWD/.build/debian/$release.test
root=$work/root
init=
space=weft-deb-$release
cleanup() {
    [[ -z $init ]] || kill -KILL "$init" 2>/dev/null || true
    [[ -z $init ]] || wait "$init" 2>/dev/null || true
    sleep 0.5
    ip netns pids "$space" 2>/dev/null | xargs -r kill -KILL || true
    ip netns delete "$space" 2>/dev/null || true
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/weft-deb-$release-$$
trap cleanup EXIT
trap 'exit 130' INT TERM

# The packages, and the same once more as the next version.
place=.build/packages
inside=()
if [[ $release != "$here" ]]; then
    inside=(scripts/debian.sh "$release")
    place=.build/debian/$release/weft/$place
fi
"${inside[@]}" make deb
mapfile -t first < <(find "$PWD/$place/debian$number" -name '*.deb' | sort)
version=$(dpkg-deb --field "${first[0]}" Version)
next=${version%+deb*}.1
"${inside[@]}" env PACKAGES="$([[ $release == "$here" ]] && echo "$PWD" || echo /weft)/.build/packages/next" scripts/deb.sh "$next" >/dev/null
mapfile -t second < <(find "$PWD/$place/next" -name '*.deb' | sort)

rm -rf "$work"
mkdir -p "$work"
scripts/debian.sh --bare "$release" "$root"
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/packages"
cp "${first[@]}" "${second[@]}" "$root/packages"

# chrooted COMMAND...: in the bare chroot, with nothing but /proc and /dev.
chrooted() {
    # shellcheck disable=SC2016 # The inner shell's.
    root=$root unshare --mount --pid --fork --kill-child --net --propagation=private bash -euc '
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        exec env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
    ' bash "$@"
}
# All files and users, less what dpkg and apt keep for themselves.
snapshot() {
    chrooted find / -xdev \( -path /proc -o -path /dev -o -path /tmp -o -path /packages -o -path /var/lib/dpkg -o -path /var/cache \
        -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/systemd/random-seed \
        -o -path /var/lib/systemd/timers -o -path '/etc/*-' -o -path /etc/.pwd.lock \
        -o -path /var/lib/systemd/deb-systemd-helper-enabled -o -name '*.pyc' \) -prune \
        -o -printf '%p %y %m %u:%g %l\n' | sort
    sort "$root"/etc/{passwd,group,shadow,gshadow}
}
# packages PATTERN: those of one version, as the chroot sees them.
deb() { printf '/packages/%s_%s+deb%s_amd64.deb\n' "$1" "$2" "$number"; }

depends=$(for file in "${first[@]}"; do [[ $file == *weft-dev* ]] || dpkg-deb --field "$file" Depends; done | paste -sd ,)
# It is the mirror's packages that the network is for; ours are installed without.
env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q update >"$work/apt.log"
env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q -y --no-install-recommends satisfy "$depends" \
    >>"$work/apt.log" 2>&1 || fail "no such packages: $depends"

old=${version%+deb*}
say "in a bare chroot: $old, $next, purged"
snapshot >"$work/before"
chrooted dpkg --install "$(deb weft "$old")" "$(deb weft-map "$old")" >>"$work/apt.log" 2>&1 || fail "can't be installed: $work/apt.log"
[[ $(chrooted stat --format '%a %U:%G' /etc/weft) == "750 root:root" ]] || fail "/etc/weft isn't 0750"
chrooted getent passwd weft weft-control >/dev/null || fail "no users were made"
chrooted weft --version >/dev/null || fail "weft doesn't run"
chrooted weft tunnel-map --help >/dev/null || fail "weft-map doesn't run"
chrooted weft genkey /etc/weft/host.key >/dev/null
chrooted dpkg --install "$(deb weft "$next")" "$(deb weft-map "$next")" >>"$work/apt.log" 2>&1 || fail "can't be upgraded: $work/apt.log"
chrooted test -e /etc/weft/host.key || fail "an upgrade took a key away"
chrooted dpkg --purge weft weft-map >>"$work/apt.log" 2>&1 || fail "can't be purged: $work/apt.log"
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "a purge leaves this"

# A systemd of its own, and a host outside that its tunnel leads to.
say "under systemd, with a tunnel for everything and a map up"
# shellcheck source=scripts/test-deb-booted.sh
. scripts/test-deb-booted.sh
say "all is well"
