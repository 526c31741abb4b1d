#!/bin/sh
# What the official image does before it starts: templates are filled in, and what lies in the folder is run.
set -e

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
    for template in /etc/nginx/templates/*.template; do
        [ -e "${template}" ] || continue
        made=/etc/nginx/conf.d/$(basename "${template}" .template)
        # Only what is in the environment: nginx has variables of its own.
        envsubst "$(env | sed 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/')" <"${template}" >"${made}"
    done
    for script in /docker-entrypoint.d/*; do
        case ${script} in
            *.envsh)
                # shellcheck source=/dev/null
                [ ! -x "${script}" ] || . "${script}"
                ;;
            *.sh) [ ! -x "${script}" ] || "${script}" ;;
        esac
    done
fi
exec "$@"
