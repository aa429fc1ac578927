#!/bin/sh
# Installs the peers into the folder $1, as $1/bin/{ministack,moto_server,dynalite,python} and linters.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$1"
mkdir -p "$1/bin" "$1/node"
peers=$(cd "$1" && pwd)

# A wrapper for each, so that the tests need not know which way it was installed.
wrap() {
    printf '#!/bin/sh\n%s\n' "$2" >"$peers/bin/$1"
    chmod +x "$peers/bin/$1"
}

linters="cfn-lint hadolint zizmor check-jsonschema"

if python3 -m venv "$peers/python" >/dev/null 2>&1; then
    "$peers/python/bin/pip" install --quiet --requirement "$here/requirements.txt"
    for name in ministack moto_server; do
        wrap "$name" "exec '$peers/python/bin/$name' \"\$@\""
    done
    for name in $linters; do
        wrap "$name" "exec '$peers/python/bin/$name' \"\$@\""
    done
    wrap python "exec '$peers/python/bin/python' \"\$@\""
else
    # Debian's python3 without python3-venv.
    rm -rf "$peers/python"
    python3 -m pip install --quiet --target "$peers/python" --requirement "$here/requirements.txt"
    for name in ministack moto_server; do
        wrap "$name" "PYTHONPATH='$peers/python' exec python3 '$peers/python/bin/$name' \"\$@\""
    done
    # Some of them are no Python.
    for name in $linters; do
        wrap "$name" "PYTHONPATH='$peers/python' exec '$peers/python/bin/$name' \"\$@\""
    done
    wrap python "PYTHONPATH='$peers/python' exec python3 \"\$@\""
fi

cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$peers/node/"
(cd "$peers/node" && npm ci --silent)
wrap dynalite "exec '$peers/node/node_modules/.bin/dynalite' \"\$@\""
