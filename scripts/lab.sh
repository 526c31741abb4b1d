#!/usr/bin/env bash
# From a bare machine to a verdict: setup.yml, failover.yml with a drain, and the report's summary as the last words.
#
# usage: lab.sh [ansible-playbook options]
set -euo pipefail

cd "$(dirname "$0")/.."
began=$(mktemp)
trap 'rm -f "${began}"' EXIT

ansible-playbook setup.yml "$@"

status=0
ansible-playbook failover.yml -e fault_kind=drain "$@" || status=$?

# Only what this run has written: a run that was refused has no report, and an older one would mislead.
summary=reports/latest/summary.txt
if [ "${summary}" -nt "${began}" ]; then
    echo
    cat "${summary}"
fi
exit "${status}"
