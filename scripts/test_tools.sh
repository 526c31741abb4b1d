#!/bin/sh
# For make test: what its tests want of this machine beside the lab's own tools. By apt, where it is missing and may be
# installed; does nothing if all is there. Without curl and openssl, tests would fail an hour later; without a browser,
# they say themselves that the pages were not looked at.
set -eu

here=${0%/*}
[ "$here" != "$0" ] || here=.
# shellcheck source=scripts/surroundings.sh
. "$here/surroundings.sh"

# Sets $why where it cannot.
install() {
    if ! command -v apt-get >/dev/null; then
        why="there is no apt-get to install with"
        return 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
    else
        why="there is neither root nor sudo to install with"
        return 1
    fi
    echo "make test: installing $1"
    shift
    # Nobody needs apt's own words unless it fails.
    # shellcheck disable=SC2016
    said=$($as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q update; apt-get -qy install --no-install-recommends "$@"' sh "$@" 2>&1) && return
    printf '%s\n' "$said" | tail -n 5 >&2
    why="apt-get failed (its words are above)"
    return 1
}

# Of the tests on a cluster: one asks by curl who answers, another has openssl make a registry's certificate.
missing=
names=
for name in curl openssl; do
    command -v "$name" >/dev/null && continue
    missing="$missing $name"
    names="${names:+$names and }$name"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || install "$names, which the tests call" $missing || {
    echo "make test: it needs $names, and $why; install $names and run it again" >&2
    exit 1
}

# As in tests/browser/conftest.py.
for name in chromium chromium-browser google-chrome chrome; do
    command -v "$name" >/dev/null && exit 0
done
# The font is what the pages ask for on Linux.
install "chromium, in which the pages are tested" chromium fonts-liberation ||
    echo "make test: pages will not be tested: there is no browser, and $why; install chromium and run it again" >&2
