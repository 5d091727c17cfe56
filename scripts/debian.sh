#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command over this tree in a Debian of its own, which debootstrap makes below .build/debian; as root:
#   scripts/debian.sh bookworm|trixie COMMAND...   with the Swift toolchain of this machine, for example: trixie make test
#   scripts/debian.sh --bare bookworm|trixie FOLDER  a bare Debian at FOLDER, which mustn't be there
# The mirror is the one that this machine's apt uses, unless MIRROR names another. What was built stays for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
debians=${DEBIANS:-$PWD/.build/debian}

usage() {
    sed -n '3,6s/^# //p' "$0" >&2
    exit 2
}

bare=no
if [[ ${1:-} == --bare ]]; then
    bare=yes
    shift
fi
(($# >= 2)) || usage
release=$1
shift
[[ $release == bookworm || $release == trixie ]] || usage
if ((EUID != 0)); then
    echo "debian: a Debian of its own takes root" >&2
    exit 1
fi

# The first mirror of the main section of the Debian that runs here: it has the others, too.
mirror() {
    # shellcheck disable=SC2016 # The parameter is apt's.
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' | head -n 1
}

# A bare Debian, made once for all that is copied from it.
base() {
    local folder=$debians/$release.base from
    if [[ ! -e $folder.done ]]; then
        from=${MIRROR:-$(mirror)}
        if [[ -z $from ]]; then
            echo "debian: apt names no mirror of Debian: say MIRROR=..." >&2
            exit 1
        fi
        echo "debian: making a bare $release" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        if ! debootstrap --variant=minbase "$release" "$folder" "$from" >"$folder.log" 2>&1; then
            tail -n 20 "$folder.log" >&2
            exit 1
        fi
        # Services aren't started by what is installed here.
        printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
        chmod 755 "$folder/usr/sbin/policy-rc.d"
        touch "$folder.done"
    fi
    echo "$folder"
}

source=$(base)
if [[ $bare == yes ]]; then
    mkdir "$1"
    cp -a "$source/." "$1"
    exit
fi

root=$debians/$release
if [[ ! -e $root ]]; then
    cp -a "$source" "$root.new"
    mv "$root.new" "$root"
fi

# The sources as they are here, without what was built; what is gone here goes there.
tree=$root/weft
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done >"$root/tree.list"
find "$tree" -mindepth 1 -maxdepth 1 ! -name .build ! -name Fuzz ! -name Benchmarks -exec rm -rf {} +
tar --null --files-from="$root/tree.list" --create --file=- | tar --extract --directory="$tree" --file=-

swift=$(readlink -f "$(command -v swift)")
toolchain=${swift%/usr/bin/*}

# All mounts are in a namespace of their own and go with it, as do the processes.
export root toolchain
# shellcheck disable=SC2016 # The inner shell's.
exec unshare --mount --pid --fork --kill-child --propagation=private bash -euc '
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir -p "$root$toolchain"
    mount --bind -o ro "$toolchain" "$root$toolchain"
    cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
    # Where Python packages come from, if that is said, and whom this machine trusts.
    for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/*.crt; do
        [[ ! -e $file ]] || install -D --mode=644 "$file" "$root$file"
    done
    # Not by chroot: whoever enters the namespaces of a process here should find this Debian there, not the one outside.
    cd "$root"
    pivot_root . mnt
    umount --lazy /mnt
    exec env -i TERM=dumb LANG=C.UTF-8 HOME=/root PATH="$toolchain/usr/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        $(env | grep -E "^((WEFT|PIP)_[A-Z_]*|CI|SOURCE_DATE_EPOCH)=[^ ]*$" || true) \
        bash -euc "
            cd /weft
            # What the toolchain itself takes, as its makers say, and who reads this script.
            if [[ ! -e /var/lib/weft-toolchain ]]; then
                echo \"debian: installing what Swift takes\" >&2
                apt-get -q update >/dev/null
                DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends binutils-gold git libc6-dev \
                    libcurl4-openssl-dev libedit2 libncurses6 libsqlite3-0 libstdc++-\$1-dev libxml2-dev make procps \
                    tzdata zlib1g-dev ca-certificates >/tmp/install.log 2>&1 || { tail -n 20 /tmp/install.log >&2; exit 1; }
                touch /var/lib/weft-toolchain
            fi
            shift
            exec \"\$@\"
        " bash "$@"
' bash "$([[ $release == bookworm ]] && echo 12 || echo 14)" "$@"
