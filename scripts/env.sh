#!/bin/sh
# Makes .venv: the Python environment of the lab, from the two lock files, each package checked by its hash.
# Does nothing if the locks, the interpreter and the place of the checkout are those of the last time.
# pip's own index-url and cert, from its variables or its files, hold here too.
set -eu

here=${0%/*}
[ "$here" != "$0" ] || here=.
# shellcheck source=scripts/surroundings.sh
. "$here/surroundings.sh"
cd "$here/.."
venv=.venv
stamp=$venv/.complete

fail() {
    printf 'make env: %s\n' "$*" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

# pyenv and asdf compile Python without profile-guided optimization unless told to; a play takes a quarter more of the
# processor's time then. Distributions have it, though Debian does not say so: of the system's own it is not asked.
optimized() {
    "$1" -c 'import sys, sysconfig
sys.exit("--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))'
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13; name one that is."
        echo "$PYTHON"
        return
    fi
    system=/usr/bin/python3
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && supported "$candidate"; then
            if ! optimized "$candidate" && [ -x "$system" ] && supported "$system" && has_venv "$system"; then
                candidate=$system
            fi
            echo "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3")
    fail "Python 3.11, 3.12 or 3.13 is needed, found $found; install one (Debian 12 and Ubuntu 24.04:" \
        "'apt-get install python3 python3-venv') or name it: 'make env PYTHON=/path/to/python3.12'."
}

# Debian and Ubuntu keep the part of the standard library that makes environments in a package of its own.
need_venv() {
    has_venv "$python" && return
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    remedy="the venv module of $python is missing; install it: 'apt-get install $package'."
    command -v apt-get >/dev/null || fail "$remedy"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
    else
        fail "$remedy"
    fi
    echo "make env: installing $package, which $python needs to make environments"
    # shellcheck disable=SC2016
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q update >&2; apt-get -qy install --no-install-recommends "$1"' sh "$package" >&2 || fail "$remedy"
    has_venv "$python" || fail "$remedy"
}

wanted() {
    cat requirements-bootstrap.lock requirements.lock scripts/env.sh
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    pwd
}

python=$(find_python)
want=$(wanted | cksum)
[ -x $venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$want" ] && exit 0

# Two makes at once: the second waits, then finds the work done.
if [ -z "${ENV_LOCKED:-}" ] && command -v flock >/dev/null; then
    ENV_LOCKED=1 PYTHON=$python exec flock .venv.lock scripts/env.sh
fi

need_venv
if [ -f $stamp ] && supported $venv/bin/python && [ "$(cat $venv/.base 2>/dev/null)" = "$(wanted | tail -n 2)" ]; then
    rm -f $stamp
else
    # Without its stamp an environment was interrupted in the making, or belongs to another interpreter or place.
    rm -f $stamp
    "$python" -m venv --clear $venv
    wanted | tail -n 2 >$venv/.base
fi

pip="$venv/bin/python -m pip --disable-pip-version-check"
$pip install --quiet --require-hashes -r requirements-bootstrap.lock ||
    fail "pip could not install uv (its message is above); check the network and pip's settings, then run it again."
[ -x $venv/bin/uv ] ||
    fail "pip put uv elsewhere than into $venv: a file of its settings ('pip config list') names a target, prefix or" \
        "root, or wants a dry run. Take that out, or pass over the files: 'PIP_CONFIG_FILE=/dev/null make env'."

# uv has settings of its own: hand pip's on, where the user has not set uv's.
index=$($pip config get global.index-url 2>/dev/null || true)
index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$index}}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
cert=$($pip config get global.cert 2>/dev/null || true)
cert=${SSL_CERT_FILE:-${PIP_CERT:-$cert}}
[ -z "$cert" ] || export SSL_CERT_FILE="$cert"
VIRTUAL_ENV=$(pwd)/$venv $venv/bin/uv pip sync --quiet --require-hashes --no-config \
    requirements-bootstrap.lock requirements.lock ||
    fail "uv could not install requirements.lock (its message is above); run it again."

# The package itself is used from the checkout. A program whose locale is missing would end with Ansible's own words.
purelib=$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
{
    printf '%s/src\n' "$(pwd)"
    # Of another checkout's state, in which there is none, no program says anything.
    printf '%s\n' 'import sys; exec("try:\n    import failover_lab.host.utf8\nexcept ImportError:\n    pass")'
} >"$purelib/failover_lab.pth"

# Each of a play's hundred processes would compile what it imports anew where PYTHONDONTWRITEBYTECODE is set, as in many
# images, or where the user may not write here: a quarter of a setup's time. Of the collections, what Ansible itself
# imports; their modules travel as source. A file that cannot be compiled says so when it is used.
echo "make env: compiling what was installed"
rest="$purelib/ansible_collections"
$venv/bin/python -m compileall -qq -j 0 -x '/(ansible_collections|ansible_test|mypyc|pip|setuptools)/' "$purelib" || true
$venv/bin/python -m compileall -qq -j 0 "$rest/kubernetes" "$rest/community/docker" "$rest/ansible/posix" src || true

printf '%s\n' "$want" >$stamp.part
mv $stamp.part $stamp
core=$($venv/bin/python -c 'from importlib.metadata import version; print(version("ansible-core"))')
echo "make env: $venv is ready ($($venv/bin/python --version), ansible-core $core)"
