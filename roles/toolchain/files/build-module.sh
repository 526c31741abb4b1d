#!/bin/sh
# Build the commands of one pinned Go module into a directory that appears only when all of them are whole.
#
# usage: build-module.sh MODULE_DIR OUT_DIR PACKAGE...
#
# MODULE_DIR holds go.mod and go.sum. The environment carries what the build needs (PATH with go, CGO_ENABLED,
# LDFLAGS, TAGS, GOCACHE, GOMODCACHE, and LINKS, names by which the one command is called too). An interrupted build
# leaves OUT_DIR absent; what was compiled stays in GOCACHE, so that the next run goes on from there.
set -eu

module_dir=$1
out_dir=$2
shift 2

# A build that was killed a moment ago may not have ended yet, and another lab may build the same: the lock is held
# until the last of its processes is gone.
exec 9>"${out_dir}.lock"
flock 9
[ ! -d "${out_dir}" ] || exit 0

partial="${out_dir}.partial"
rm -rf "${partial}"
mkdir -p "${partial}"

cd "${module_dir}"
# -mod=readonly: a build that wanted another version than go.sum guards must fail, not rewrite the lock.
# -dwarf=false: what the linker would strip anyway is a tenth of the compiler's work.
go build -mod=readonly -trimpath -buildvcs=false -gcflags=all=-dwarf=false -tags "${TAGS:-}" -ldflags "-s -w ${LDFLAGS:-}" -o "${partial}/" "$@"
command=$(basename "${partial}"/*)
for link in ${LINKS:-}; do
    ln -s "${command}" "${partial}/${link}"
done

rm -rf "${out_dir}"
mv "${partial}" "${out_dir}"
