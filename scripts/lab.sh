#!/bin/sh
# From a bare machine to a verdict: setup.yml, then failover.yml with a drain, whose last words say what it cost.
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

ansible-playbook setup.yml "$@"
exec ansible-playbook failover.yml -e fault_kind=drain "$@"
