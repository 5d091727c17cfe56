#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a release of what is committed, as root, since Debian's other release is built in a chroot:
#   scripts/release.sh VERSION
# The version goes into the programs and the changelog, whose "Unreleased" becomes it; that is committed and tagged vVERSION once the
# packages for both Debians are made, from nothing and of that commit alone. They are left in .build/release-VERSION, with the sources and
# the sums of all. A release that fails leaves neither commit nor tag.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "release: $*" >&2
    exit 1
}

version=${1:?"usage: scripts/release.sh VERSION"}
[[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] || fail "a version is three numbers, such as 1.2.0, not $version"
[[ -z $(git status --porcelain) ]] || fail "there is what isn't committed: see git status"
branch=$(git symbolic-ref --short HEAD) || fail "no branch is checked out"
tag=v$version
[[ -z $(git tag --list "$tag") ]] || fail "there is a tag $tag"
now=$(sed -nE 's/.*version = "([^"]*)".*/\1/p' Sources/WeftCommand/Release.swift)
dpkg --compare-versions "$version" gt "$now" || fail "$version isn't above $now"
[[ -n $(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/{/^[^#]/p}' CHANGELOG.md) ]] || fail "CHANGELOG.md has nothing under Unreleased"

# A tree of its own, so that neither what lies about here nor what was built here is in it.
place=$PWD/.build/release-$version
tree=$PWD/.build/release-tree
cleanup() { git worktree remove --force "$tree" 2>/dev/null || rm -rf "$tree"; }
trap cleanup EXIT
cleanup
git worktree prune
rm -rf "$place"
git worktree add --quiet --detach "$tree" HEAD

(
    cd "$tree"
    sed -i -E "s/(version = \")[^\"]*\"/\1$version\"/" Sources/WeftCommand/Release.swift
    sed -i "s/^## \[Unreleased\]$/&\n\n## [$version] - $(date --utc +%Y-%m-%d)/" CHANGELOG.md
    git commit --quiet --all --message "Release $version"
)
export DEBIANS=${DEBIANS:-$PWD/.build/debian}
mkdir -p "$place"
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
for release in bookworm trixie; do
    echo "release: packages for $release"
    if [[ $release == "$here" ]]; then
        make -C "$tree" deb >"$place.log" 2>&1 || fail "the packages for $release failed: $place.log"
        built=$tree/.build/packages
    else
        rm -rf "$DEBIANS/$release/weft"
        "$tree/scripts/debian.sh" "$release" make deb >"$place.log" 2>&1 || fail "the packages for $release failed: $place.log"
        built=$DEBIANS/$release/weft/.build/packages
    fi
    cp "$built"/debian*/*.deb "$place"
done
commit=$(git -C "$tree" rev-parse HEAD)
git archive --format=tar --prefix="weft-$version/" "$commit" | gzip --best --no-name >"$place/weft-$version.tar.gz"
(cd "$place" && sha256sum -- * >SHA256SUMS)

# Only now is anything said of it.
[[ $(git rev-parse HEAD) == $(git -C "$tree" rev-parse HEAD~) && -z $(git status --porcelain) ]] || fail "the tree has changed meanwhile"
git merge --quiet --ff-only "$commit"
git tag --annotate "$tag" --message "Weft $version"
echo "release: $tag on $branch, packages and sums in $place:"
cat "$place/SHA256SUMS"
