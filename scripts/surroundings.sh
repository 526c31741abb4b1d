#!/bin/sh
# To be sourced first, by a script beside it: what src/failover_lab/surroundings.txt clears is taken out of the
# environment. Python does the same for plays (surroundings.py); here there may be none yet. Run by itself, as by make,
# it names what is there to be cleared.
unset CDPATH IFS

# One name on each line; $1 is the table.
cleared() {
    # awk knows the names of the environment, the shell only their values.
    for name in $(awk 'BEGIN { for (name in ENVIRON) if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) print name }'); do
        fate=
        while [ -z "$fate" ] && read -r what names; do
            case $what in clear | honour | set | tcp) ;; *) continue ;; esac
            for pattern in $names; do
                # shellcheck disable=SC2254
                case $name in $pattern) fate=$what ;; esac
            done
        done <"$1"
        [ "$fate" != clear ] || echo "$name"
    done
}

# No word of the table is to become the names of files here.
set -f
names=$(cleared "$(dirname "$0")/../src/failover_lab/surroundings.txt")
set +f
if [ "${0##*/}" = surroundings.sh ]; then
    echo "$names"
fi
# Word splitting is wanted.
# shellcheck disable=SC2086
[ -z "$names" ] || unset $names
unset names
