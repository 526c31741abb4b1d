#!/bin/sh
# From a bare machine to a verdict: setup.yml, failover.yml with a drain, and the report's summary as the last words.
#
# usage: lab.sh [ansible-playbook options]
set -eu

here=${0%/*}
[ "$here" != "$0" ] || here=.
# shellcheck source=scripts/surroundings.sh
. "$here/surroundings.sh"
cd "$here/.."
for word; do
    case $word in --list-* | --sy* | --vers* | --h* | -h)
        echo "make lab: $word plays nothing, and there would be no verdict: leave it out, or give it to" \
            "ansible-playbook." >&2
        exit 2
        ;;
    esac
done
# Named outright: Ansible passes over one that lies where everybody may write.
ANSIBLE_CONFIG=$(pwd)/ansible.cfg
export ANSIBLE_CONFIG
before=$(readlink reports/latest || true)

ansible-playbook setup.yml "$@"

status=0
ansible-playbook failover.yml -e fault_kind=drain "$@" || status=$?

# Only what this run has written: a run that was refused has no report, and an older one would mislead.
if [ "$(readlink reports/latest || true)" != "${before}" ]; then
    echo
    cat reports/latest/summary.txt
fi
exit "${status}"
