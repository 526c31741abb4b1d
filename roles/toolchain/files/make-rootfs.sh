#!/bin/sh
# Unpack Debian packages into an archive of a root file system, which appears only when it is whole.
#
# usage: make-rootfs.sh SOURCES_LIST ARCHIVE PACKAGE,PACKAGE,...
set -eu

# Unpacking sets owners and makes devices. A user who may not is helped by sudo, which must not ask here.
if [ "$(id -u)" -ne 0 ]; then
    exec sudo --non-interactive "$0" "$@"
fi

sources=$1
archive=$2
packages=$3

rm -f "${archive}.partial"
# Manuals and translations are a quarter of the size and nobody reads them in a container.
mmdebstrap --variant=minbase --format=tar \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="${packages}" bookworm "${archive}.partial" "${sources}"
chown "${SUDO_UID:-0}:${SUDO_GID:-0}" "${archive}.partial"
mv "${archive}.partial" "${archive}"
