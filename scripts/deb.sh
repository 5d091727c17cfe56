#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes Debian packages of what `make build` has built, for the Debian that runs here, into .build/packages/NAME. Without network; the same
# sources give the same bytes, in whatever folder.
#   scripts/deb.sh [VERSION]   VERSION in place of the sources' own
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC

# shellcheck source=/dev/null
. /etc/os-release
if [[ ${ID:-} != debian || -z ${VERSION_ID:-} ]]; then
    echo "deb: packages are made on Debian; scripts/debian.sh has one" >&2
    exit 1
fi

# The release and its date: the newest heading of the changelog that has a date. What is written above that is yet to be released.
read -r released date < <(sed -nE 's/^## \[([0-9.]+)\] - ([0-9-]+)$/\1 \2/p' CHANGELOG.md)
version=$(sed -nE 's/.*version = "([^"]*)".*/\1/p' Sources/WeftCommand/Release.swift)
if [[ $version != "$released" ]]; then
    echo "deb: CHANGELOG.md's newest release is $released, and the programs say $version" >&2
    exit 1
fi
[[ -z $(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/{/^[^#]/p}' CHANGELOG.md) ]] || version+=+unreleased
version=${1:-$version}+deb$VERSION_ID
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date --date="$date" +%s)}

PACKAGES=${PACKAGES:-$PWD/.build/packages/debian$VERSION_ID}
work=$PWD/.build/deb
rm -rf "$work" "$PACKAGES"
mkdir -p "$work" "$PACKAGES"
cp -R debian "$work"
tmp=$work/staged

UNITS=usr/lib/systemd/system
dpkg --compare-versions "$VERSION_ID" ge 13 || UNITS=lib/systemd/system
make --no-print-directory install-built PREFIX=/usr DESTDIR="$tmp" unitdir="$tmp/$UNITS" zshdir="$tmp/usr/share/zsh/vendor-completions" >/dev/null
install -d "$tmp/etc/weft"

# The libraries' sources: what Package.swift names above the line where programs and tests begin.
library=$tmp/usr/share/weft
install -d "$library"
sed '/^\/\/ -- The programs and the tests/,$d' Package.swift >"$library/Package.swift"
cp -R LICENSE Plugins Sources "$library"
for target in weft weft-control weft-map WeftControlProcess; do rm -r "$library/Sources/$target"; done

LIBRARIES=$(scripts/install-dependencies.sh --list build | grep -- '-dev$' | grep -v ngtcp2 | paste -sd , -)
QUIC=$(scripts/install-dependencies.sh --list build | sed -n '/ngtcp2/s/$/ (>= 1.11)/p' | paste -sd , -)
export PACKAGES UNITS LIBRARIES QUIC

cat >"$work/debian/changelog" <<EOF
weft ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(date --utc --date="@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
EOF
cp CHANGELOG.md "$work"

cd "$work"
DEB_RULES_REQUIRES_ROOT=no debian/rules binary
cd "$PACKAGES"
sha256sum -- *.deb >SHA256SUMS
cat SHA256SUMS
