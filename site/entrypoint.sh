#!/bin/sh
# Hands the pod's identity to nginx, then becomes nginx. Only shell built-ins: the base image may have no tools.
#
#   POD_NAME     the pod            (default: the host name)
#   NODE_NAME    the node           (default: unknown)
#   IMAGE        the image          (default: unknown)
#   KEEPALIVE_S  age in seconds at which a connection is asked, with its next answer, to close (default: 3)
#
# /tmp is the only place that has to be writable.
set -eu

refuse() {
    printf 'entrypoint: %s\n' "$1" >&2
    exit 64
}

# The values end up in quotes inside nginx's configuration, in HTML and in JSON. Names and image references need none
# of the characters that mean something there, so anything else is refused rather than escaped three ways.
check() {
    case $2 in
    '' | *[!A-Za-z0-9._:/@-]*)
        refuse "$1 is '$2', but may only hold letters, digits and . _ : / @ -; set it to the plain name" ;;
    esac
    [ "${#2}" -le 512 ] || refuse "$1 is ${#2} characters long, at most 512 are allowed"
}

# shellcheck disable=SC3028 # the container engine sets it
pod=${POD_NAME:-${HOSTNAME:-unknown}}
node=${NODE_NAME:-unknown}
image=${IMAGE:-unknown}
keepalive=${KEEPALIVE_S:-3}

check POD_NAME "$pod"
check NODE_NAME "$node"
check IMAGE "$image"
case $keepalive in
'' | 0* | *[!0-9]* | ??????*) refuse "KEEPALIVE_S is '$keepalive', but must be whole seconds from 1 to 99999" ;;
esac

if ! { true >/tmp/site-http.conf; } 2>/dev/null; then
    refuse "/tmp is not writable; mount an emptyDir or a tmpfs there"
fi

constant() {
    # nginx has no constants: a map of nothing with only a default is the cheapest way to name one.
    printf 'map "" $%s { default "%s"; }\n' "$1" "$2"
}
{
    constant site_pod "$pod"
    constant site_node "$node"
    constant site_image "$image"
} >/tmp/site-http.conf

{
    printf 'listen 8080 backlog=4096;\n'
    # A kernel without IPv6 would refuse the second listener and with it the whole server.
    if [ -r /proc/net/if_inet6 ] && read -r _ </proc/net/if_inet6; then
        printf 'listen [::]:8080 backlog=4096;\n'
    fi
    printf 'keepalive_time %ss;\n' "$keepalive"
} >/tmp/site-server.conf

# -e: before it has read its configuration, nginx would write to a log that a read-only file system has no room for.
exec nginx -e stderr -c /site/nginx.conf -g 'daemon off;' "$@"
