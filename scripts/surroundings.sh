#!/bin/sh
# To be sourced first, by a script beside it: what src/failover_lab/host/surroundings.txt clears is taken out of the
# environment. Python does the same for plays (surroundings.py); here there may be none yet, nor any other program. Run
# by itself, as by make, it names what is there to be cleared.
unset IFS
here=${0%/*}
[ "$here" != "$0" ] || here=.

# One name on each line; $1 is the table. The shell's own list of what it hands on is the input.
cleared() {
    while read -r export name; do
        name=${name%%=*}
        # A line of somebody's value is no name.
        case $export-$name in export-*[!A-Za-z0-9_]* | export-) continue ;; export-*) ;; *) continue ;; esac
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
names=$(export -p | cleared "$here/../src/failover_lab/host/surroundings.txt")
set +f
if [ "${0##*/}" = surroundings.sh ]; then
    echo "$names"
fi
# Word splitting is wanted.
# shellcheck disable=SC2086
[ -z "$names" ] || unset $names
unset names
