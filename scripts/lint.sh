#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks what a machine can check about the sources. Reports everything it finds, then fails with 1 if that was anything, with 2 where a
# tool is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

# What isn't there has found nothing: that is another failure than findings are.
missing=()
for tool in swift shellcheck groff; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]} > 0)); then
    echo "lint: not installed: ${missing[*]} (as root, scripts/install-dependencies.sh lint installs all but swift)" >&2
    exit 2
fi

failures=0
# fail WHAT FINDING...
fail() {
    failures=$((failures + 1))
    echo "lint: $1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
}

# lines COMMAND...: its output into the array `found`, one line each; no output is no failure.
lines() { mapfile -t found < <("$@" || true); }

sources() {
    find . \( -name .build -o -name .git \) -prune -o -type f \( "$@" \) -print | sort
}

echo "swift format"
lines sources -name '*.swift'
swift format lint --strict --parallel "${found[@]}" || fail "swift format: run swift format -i FILE"

echo "shellcheck"
mapfile -t scripts < <(grep -lE --exclude-dir=.git --exclude-dir=.build -r '^#!.*\b(ba)?sh$' . | sort)
shellcheck -x "${scripts[@]}" || fail "shellcheck has findings"

echo "licence lines"
lines sources -name '*.swift' -o -name '*.[ch]' -o -name '*.modulemap' -o -name '*.sh' -o -name Makefile \
    -o -name '*.[58]'
for file in "${found[@]}" "${scripts[@]}"; do
    # A script begins with its interpreter, and a package with its tools version.
    [[ $(head -n 2 "$file") == *"SPDX-License-Identifier: Apache-2.0"* ]] ||
        fail "$file: expected SPDX-License-Identifier: Apache-2.0 on the first line (the second after #!)"
done

echo "sizes"
while read -r count file; do
    ((count <= 400)) || fail "$file: $count lines: expected 400 at most; split it by aspect"
done < <(find Sources -name '*.swift' -exec sh -c 'for file; do echo "$(wc -l <"$file") $file"; done' sh {} +)

echo "traps"
lines grep -rnE --include='*.swift' '^[^/]*(\btry!|\bas!|\bfatalError\()' Sources
((${#found[@]} == 0)) || fail "no try!, as! or fatalError( in Sources: an error says what to do, a trap doesn't" "${found[@]}"

echo "modules"
# ARCHITECTURE.md's table has each module of Sources, and none above one that needs it.
declare -A row=()
# shellcheck disable=SC2016 # The backquotes are Markdown's.
while read -r module; do row[$module]=${#row[@]}; done < <(sed -nE '/^## The parts/,/^Inside/s/^\| `([Ww]eft[A-Za-z-]*)` \|.*/\1/p' ARCHITECTURE.md)
while read -r module needed; do
    [[ -d Sources/$module && $module != CWeft* && $module != bpf-embed ]] || continue
    if [[ -z ${row[$module]:-} ]]; then
        fail "ARCHITECTURE.md: its table of modules has no row for $module"
        row[$module]=-1
    elif [[ -n $needed && -n ${row[$needed]:-} ]] && ((${row[$needed]} < ${row[$module]})); then
        fail "ARCHITECTURE.md: $module depends on $needed, which stands above it: dependencies point downwards"
    fi
done < <(swift package describe | awk '
    /^Targets:/ { targets = 1 }
    !targets { next }
    /^    Name: / { name = $2 }
    /^    Path: / { print name }
    /^    [A-Z]/ { list = /^    Target dependencies:/ }
    list && /^        / { needs[name] = needs[name] " " $1 }
    END { for (name in needs) { n = split(needs[name], all, " "); for (i = 1; i <= n; i++) print name, all[i] } }')

echo "tests that documents name"
# named TEST FILE: whether a file has a suite or a test of that name.
named() { grep -qF -e "\"$1\"" -e "struct $1 " -e "func $1(" "$2"; }
while IFS=$'\t' read -r document suite test file; do
    [[ -e docs/$file ]] || { fail "$document: $file: no such file"; continue; }
    named "$suite" "docs/$file" || fail "$document: no suite \"$suite\" in $file"
    named "$test" "docs/$file" || fail "$document: no test \"$test\" in $file"
done < <(grep -oHE '\[[^][]+\]\(\.\./Tests/[^)]+\)' docs/*.md |
    sed -E 's/^([^:]+):\[([^:]+): (.*)\]\(([^)]+)\)$/\1\t\2\t\3\t\4/')

echo "manual pages"
lines sources -name '*.[58]'
for page in "${found[@]}"; do
    warnings=$(groff -mandoc -Tutf8 -ww -z "$page" 2>&1) || warnings+="groff failed"
    [[ -z $warnings ]] || fail "$page" "$warnings"
done

if ((failures > 0)); then
    echo "lint: $failures findings" >&2
    exit 1
fi
echo "lint: nothing found"
