#!/bin/sh
# Installs the peers into the folder $1, each with everything it needs in an environment of its own, pinned.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
for name in c7n prowler; do
    rm -rf "${1:?}/$name"
    python3 -m venv "$1/$name"
    # The files are whole: nothing is left to resolve.
    "$1/$name/bin/pip" install --quiet --no-deps --requirement "$here/$name.txt"
done
