#!/bin/sh
# Installs what the pages and the metrics are looked at with, into the folder $1: $1/bin/{chromium,promtool}, a headless
# Chromium and Prometheus's own checker, both Debian's, with the libraries they need; and $1/node, which drives the
# first. Nothing outside of $1 is touched and nobody needs to be root: Debian's packages are fetched with a package list
# of our own and unpacked, not installed.
#
# $PLIMSOLL_CHROMIUM and $PLIMSOLL_PROMTOOL name others, for systems that have no apt.
set -eu

own_folder=$(cd "$(dirname "$0")" && pwd)
rm -rf "$1"
mkdir -p "$1/bin" "$1/unpacked" "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/fonts"
here=$(cd "$1" && pwd)

own() {
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$2" >"$here/bin/$1"
    chmod +x "$here/bin/$1"
}

drive() {
    mkdir "$here/node"
    cp "$own_folder/package.json" "$own_folder/package-lock.json" "$own_folder/.npmrc" "$here/node/"
    (cd "$here/node" && npm ci --silent)
}

if [ -n "${PLIMSOLL_CHROMIUM:-}" ] && [ -n "${PLIMSOLL_PROMTOOL:-}" ]; then
    own chromium "$PLIMSOLL_CHROMIUM"
    own promtool "$PLIMSOLL_PROMTOOL"
    drive
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo 'the tests of pages need a Chromium and promtool; name yours with PLIMSOLL_CHROMIUM and PLIMSOLL_PROMTOOL' >&2
    exit 1
fi

# The machine's sources and its record of what is installed; lists and archives of our own.
apt() {
    apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" -o Dir::State::lists="$here/apt/lists" \
        -o Dir::Cache="$here/apt" -o Dir::Cache::archives="$here/apt/archives" "$@"
}
apt update
apt -y --no-install-recommends --download-only install chromium chromium-common fonts-dejavu-core
# By name also where they are installed. What promtool comes with needs a web console, and promtool none of it.
(cd "$here/apt/archives" && apt download chromium chromium-common prometheus)
for package in "$here"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$here/unpacked"
done
# What is installed already has no archive: fonts and libraries of the machine are used then.
rm -rf "$here/apt" "$here/unpacked/usr/bin/prometheus" "$here/unpacked/usr/share/doc" "$here/unpacked/usr/share/locale"

cat >"$here/fonts/fonts.conf" <<FONTS
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>$here/unpacked/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>$here/fonts/cache</cachedir>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>sans</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
FONTS

# PulseAudio keeps the library that its own needs in a folder of its own.
libraries=$(find "$here/unpacked/usr/lib" "$here/unpacked/lib" -maxdepth 2 -type d \
    \( -name '*-linux-gnu' -o -path '*-linux-gnu/pulseaudio' \) 2>/dev/null | tr '\n' ':')
cat >"$here/bin/chromium" <<RUN
#!/bin/sh
LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:-}" FONTCONFIG_FILE="$here/fonts/fonts.conf" \\
    exec "$here/unpacked/usr/lib/chromium/chromium" "\$@"
RUN
chmod +x "$here/bin/chromium"
own promtool "$here/unpacked/usr/bin/promtool"

# What cannot start is to be seen here, and not as a test that fails.
"$here/bin/chromium" --version >/dev/null
"$here/bin/promtool" --version >/dev/null 2>&1

drive
