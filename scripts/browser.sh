#!/bin/sh
# For make test: a browser in which the tests look at pages. Debian's chromium, where there is none and it may be installed.
# Does nothing if there is one. Without any, the tests say themselves that the pages were not looked at.
set -eu

# As in tests/browser/conftest.py.
for name in chromium chromium-browser google-chrome chrome; do
    command -v "$name" >/dev/null && exit 0
done

without() {
    echo "make test: pages will not be tested: there is no browser, and $1; install chromium and run it again" >&2
    exit 0
}

command -v apt-get >/dev/null || without "no apt-get to install one"
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    without "neither root nor sudo to install one"
fi
echo "make test: installing chromium, in which the pages are tested"
# The font is what the pages ask for on Linux. Nobody needs apt's own words unless it fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
$as_root env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get -q update; apt-get -qy install --no-install-recommends chromium fonts-liberation' >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    without "apt-get could not install chromium (its words are above)"
}
