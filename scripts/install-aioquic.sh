#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs aioquic, the independent QUIC that tests run ours against, into .build/aioquic, unless it's there.
set -euo pipefail

version=1.7.2
place=$(cd "$(dirname "$0")/.." && pwd)/.build/aioquic
[[ ! -e $place/$version ]] || exit 0
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check "aioquic==$version"
touch "$place/$version"
