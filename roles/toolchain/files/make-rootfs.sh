#!/bin/sh
# Unpack Debian packages into an archive of a root file system, which appears only when it is whole.
#
# usage: make-rootfs.sh SOURCES_LIST RELEASE ARCHIVE PACKAGE,PACKAGE,...
set -eu

# Another lab may make the same: whoever comes second finds it made. sudo would close the lock's file.
if [ "$1" != --locked ]; then
    exec flock "$3.lock" "$0" --locked "$@"
fi
shift
[ ! -e "$3" ] || exit 0

# Unpacking sets owners and makes devices: root does it, sudo helps if it need not ask, and otherwise mmdebstrap itself
# finds a way, which is a user namespace.
if [ "$(id -u)" -ne 0 ] && sudo --non-interactive true 2>/dev/null; then
    exec sudo --non-interactive "$0" --locked "$@"
fi

sources=$1
release=$2
archive=$3
packages=$4

umask 022
scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT
trap 'exit 143' HUP INT TERM
# apt's own user reads these.
chmod 0755 "${scratch}"

# The keys that this machine trusts, for a mirror that signs anew, and Debian's own, which Ubuntu's apt does not trust.
mkdir "${scratch}/keys"
for key in /etc/apt/trusted.gpg.d/*.gpg /etc/apt/trusted.gpg.d/*.asc /usr/share/keyrings/debian-archive-keyring.gpg; do
    [ ! -r "${key}" ] || cp -L "${key}" "${scratch}/keys/"
done
chmod 0644 "${scratch}/keys/"*

# mmdebstrap's apt does not read this machine's settings, and without its proxy it would reach nothing.
apt-config dump | grep -E -i '^Acquire::(https?::|Check-|Retries)' >"${scratch}/apt.conf" || true

rm -f "${archive}.partial"
# Manuals and translations are a quarter of the size and nobody reads them in a container. The machine's settings, a
# proxy's password perhaps, stay out of the images: $1 is mmdebstrap's word for the new root.
# shellcheck disable=SC2016
mmdebstrap --variant=minbase --format=tar --keyring="${scratch}/keys" --aptopt="${scratch}/apt.conf" \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
    --include="${packages}" "${release}" "${archive}.partial" "${sources}"
chown "${SUDO_UID:-$(id -u)}:${SUDO_GID:-$(id -g)}" "${archive}.partial"
mv "${archive}.partial" "${archive}"
