#!/bin/sh
# Makes both lock files again from pyproject.toml: `make lock` takes the newest versions that its ranges allow.
set -eu

here=${0%/*}
[ "$here" != "$0" ] || here=.
# shellcheck source=scripts/surroundings.sh
. "$here/surroundings.sh"
cd "$here/.."
uv=${UV:-.venv/bin/uv}
compile="$uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade
    --no-header --no-emit-index-url --no-emit-find-links"

# Word splitting is wanted: one command and its options.
# shellcheck disable=SC2086
$compile --group dev pyproject.toml --output-file requirements.lock
# shellcheck disable=SC2086
echo 'uv>=0.13.9,<1' | $compile - --output-file requirements-bootstrap.lock
