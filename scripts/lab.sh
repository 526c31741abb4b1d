#!/usr/bin/env bash
# From a bare machine to a verdict: setup.yml, failover.yml with a drain, and the report's summary as the last words.
#
# usage: lab.sh [ansible-playbook options]
set -euo pipefail

cd "$(dirname "$0")/.."
before=$(readlink reports/latest || true)

ansible-playbook setup.yml "$@"

status=0
ansible-playbook failover.yml -e fault_kind=drain "$@" || status=$?

# Only what this run has written: a run that was refused has no report, and an older one would mislead.
if [[ "$(readlink reports/latest || true)" != "${before}" ]]; then
    echo
    cat reports/latest/summary.txt
fi
exit "${status}"
