"""Programs of the shell for nodes that are hosts and need no Python; they undo by themselves what they do.

Before a node is touched, it gets a timer of its own that undoes the fault at its deadline: the machine from
which it is broken may die, or not reach it any more. To heal earlier is to run the same program, and to stop
the timer.
"""

from __future__ import annotations

import base64
import itertools
import json
import shlex
from dataclasses import dataclass
from typing import Any

from failover_lab.errors import UserError
from failover_lab.nodes import packets
from failover_lab.nodes.packets import Kept
from failover_lab.nodes.state import CONTROL_PLANE, LOOK, PREFERENCE

#: Here a node keeps what was done to it; whatever starts it anew empties it.
PLACE = "/run/failover-lab"
UNIT = "failover-lab-heal"
# A node that is asked has answered within so long; else its clock is another one's.
_ROUND_TRIP_S = 10.0
#: Begins the line that is meant, among whatever a login may say.
SAYS = "@failover-lab "
#: How a machine may be ended. `command` is one that the user gives.
HOWS = ("poweroff", "crash", "reboot", "command")
# The first pid namespace of a kernel; whatever is in another one is a container (PROC_PID_INIT_INO).
_FIRST_NAMESPACE = "pid:[4026531836]"
_UNITS = "kubelet k3s-agent k3s rke2-agent rke2-server snap.microk8s.daemon-kubelite"
_MAY_FAIL = "2>/dev/null || true"

#: Begins every program: how it speaks, and what it may ask.
HEAD = rf"""
set -eu
say() {{ printf '%s%s\n' '{SAYS}' "$1"; }}
refuse() {{ printf '%s{{"error": "%s"}}\n' '{SAYS}' "$1"; exit 0; }}
now() {{ date +%s.%N; }}
has() {{ command -v "$1" >/dev/null 2>&1; }}
systemd() {{ [ -d /run/systemd/system ] && has systemctl; }}
contained() {{
    [ "$(readlink /proc/self/ns/pid 2>/dev/null)" != '{_FIRST_NAMESPACE}' ] || [ -e /.dockerenv ] ||
        [ -e /run/.containerenv ] || {{ has systemd-detect-virt && systemd-detect-virt --container --quiet; }}
}}
unit() {{
    if systemd; then
        for one in {_UNITS}; do
            if systemctl cat "$one" >/dev/null 2>&1; then echo "$one"; break; fi
        done
    elif [ -x /etc/init.d/kubelet ]; then
        echo kubelet
    fi
}}
"""

# The session's own connection is looked for among the parents: sudo gives its programs another environment.
_ASK = rf"""
connection=; process=$$
while [ "$process" -gt 1 ] && [ -z "$connection" ]; do
    connection=$(tr '\0' '\n' 2>/dev/null <"/proc/$process/environ" | sed -n 's/^SSH_CONNECTION=//p')
    process=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$process/stat" 2>/dev/null || echo 1)
done
route=
[ -z "$connection" ] || route=$(ip route get "${{connection%% *}}" 2>/dev/null | head -n 1)
interface() {{ ip -o addr show 2>/dev/null | while read -r _ name _ address _; do
    [ "${{address%/*}}" != "$1" ] || {{ echo "$name"; break; }}; done; }}
main=$(interface "$1")
interfaces=$main
for name in $(ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'); do
    case " $interfaces " in *" $name "*) ;; *) interfaces="$interfaces $name" ;; esac
done
inside=false; contained && inside=true
timer=false; systemd && has systemd-run && timer=true
marked=false; [ -e {PLACE}/kubelet ] && marked=true
unit=$(unit)
say "{{\"connection\": \"$connection\", \"route\": \"$route\", \"interfaces\": \"$interfaces\", \
\"inside\": $inside, \"timer\": $timer, \"marked\": $marked, \"unit\": \"$unit\", \"now\": $(now), \
\"machine_id\": \"$(cat /etc/machine-id 2>/dev/null || cat /var/lib/dbus/machine-id 2>/dev/null || true)\"}}"
set +e
set -- "${{main:-none}}" {PREFERENCE} {CONTROL_PLANE} "${{unit:-kubelet}}"
printf '%s' '{SAYS}'
"""

_HEAL = rf"""
set +e
for name in $(cat {PLACE}/interfaces 2>/dev/null); do
    for way in ingress egress; do tc filter del dev "$name" "$way" pref {PREFERENCE} 2>/dev/null; done
    [ -n "$(tc filter show dev "$name" ingress; tc filter show dev "$name" egress)" ] ||
        tc qdisc del dev "$name" clsact 2>/dev/null
done
rm -f {PLACE}/interfaces
if [ -e {PLACE}/kubelet ]; then
    unit=$(cat {PLACE}/kubelet)
    if [ -d /run/systemd/system ]; then systemctl start "$unit"; else "/etc/init.d/$unit" start; fi &&
        rm -f {PLACE}/kubelet
fi
"""

# What is to be done at the deadline is on the node, and the timer runs, before anything is touched.
_ARM = rf"""
umask 077
mkdir -p {PLACE}
cat >{PLACE}/heal.sh <<'HEAL'
{_HEAL.strip()}
HEAL
if systemd && has systemd-run; then
    systemctl stop {UNIT}.timer {UNIT}.service {_MAY_FAIL}
    systemctl reset-failed {UNIT}.service {_MAY_FAIL}
    systemd-run --quiet --unit={UNIT} --on-active="$deadline" --timer-property=AccuracySec=1s \
        /bin/sh {PLACE}/heal.sh >/dev/null || refuse 'no timer could be set by systemd-run'
    systemctl is-active --quiet {UNIT}.timer || refuse 'the timer that was set does not run'
else
    own=; has setsid && own=setsid
    $own sh -c 'trap "" HUP; echo $$ >{PLACE}/waits; sleep "$1"; exec sh {PLACE}/heal.sh' sh "$deadline" \
        </dev/null >/dev/null 2>&1 &
    tries=0
    until [ -s {PLACE}/waits ]; do
        [ $((tries += 1)) -le 50 ] || refuse 'nothing that heals it could be left to wait there'
        sleep 0.1
    done
    kill -0 "$(cat {PLACE}/waits)" 2>/dev/null ||
        refuse 'what was to heal it there has ended before anything was done'
fi
"""

# The number of a process may have become another one's.
_DISARM = rf"""
if systemd; then systemctl stop {UNIT}.timer {_MAY_FAIL}; fi
if [ -s {PLACE}/waits ]; then
    process=$(cat {PLACE}/waits)
    grep -qF {PLACE}/heal.sh "/proc/$process/cmdline" 2>/dev/null && kill "$process" {_MAY_FAIL}
    rm -f {PLACE}/waits
fi
[ ! -e {PLACE}/heal.sh ] || sh {PLACE}/heal.sh || true
rm -f {PLACE}/heal.sh
[ ! -e {PLACE}/kubelet ] || refuse 'its kubelet could not be started'
say '{{}}'
"""

_STOP_KUBELET = r"""
unit=$(unit)
[ -n "$unit" ] || refuse 'neither systemd nor /etc/init.d has a kubelet there'
{arm}
echo "$unit" >{place}/kubelet
at=$(now)
if systemd; then systemctl stop "$unit"; else "/etc/init.d/$unit" stop >/dev/null; fi
if systemd; then
    case $(systemctl is-active "$unit" || true) in inactive | failed) ;; *) refuse 'it runs on' ;; esac
fi
say "{\"at\": $at}"
"""

_CUT_OFF = r"""
has tc || refuse 'it lacks the command tc'
for name in {interfaces}; do
    [ "$(cat "/sys/class/net/$name/type")" = 1 ] || refuse "its interface $name is no Ethernet"
done
{arm}
echo '{interfaces}' >{place}/interfaces
at=$(now)
cut() {
    { tc qdisc show dev "$1" | grep -q clsact || tc qdisc add dev "$1" clsact; } &&
        tc filter add dev "$1" "$2" pref {preference} protocol all bpf da bytecode "$3" && return
    sh {place}/heal.sh || true
    refuse 'its kernel needs the modules sch_ingress and cls_bpf'
}
{cuts}
say "{\"at\": $at}"
"""

# What ends the machine waits until this answer is on its way.
_KILL = r"""
{ready}
umask 077
mkdir -p {place}
say "{\"at\": $(now), \"after_s\": {after_s}}"
own=; has setsid && own=setsid
$own sh -c 'trap "" HUP; sleep {after_s}; '{end} </dev/null >/dev/null 2>&1 &
"""
_AFTER_S = 0.5
_NO_CONTAINER = """
! contained || refuse 'it is a container, and /proc/sysrq-trigger in it is that of its host'
[ -w /proc/sysrq-trigger ] || refuse 'its kernel has no /proc/sysrq-trigger'
"""
# An alarm of its clock, where it has one, is the only thing that starts a machine that is off.
_ALARM = """
alarm=/sys/class/rtc/rtc0/wakealarm
if ! contained && [ -w "$alarm" ]; then
    echo 0 >"$alarm"
    echo "+$deadline" >"$alarm"
elif [ {elsewhere} = no ]; then
    refuse 'it has no clock that could start it again, and there is no start.yml in node_tasks'
fi
"""
_READY = {
    "poweroff": _ALARM,
    # Of a kernel that panics the machine starts again after so many seconds.
    "crash": _NO_CONTAINER + 'echo "$deadline" >/proc/sys/kernel/panic\n',
    "reboot": _NO_CONTAINER,
    "command": "",
}
_END = {
    "poweroff": "systemctl poweroff --force --force || poweroff -f",
    "crash": "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger",
    "reboot": "echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a node that is a host has said of itself.

    Attributes:
        kept: the connection by which it was asked; None: it needs none.
        kept_at: the interface of that connection; empty: nobody knows.
        interfaces: that are cut.
        machine_id: as its kubelet tells it, too.
        row: as the command ``nodes`` tells of a node.
    """

    kept: Kept | None
    kept_at: str
    interfaces: tuple[str, ...]
    machine_id: str
    row: Row


@dataclass(frozen=True)
class Deed:
    """What is to be done to a node.

    Attributes:
        action: as the role ``node`` calls it, with hyphens.
        deadline_s: after which the node heals itself.
        ways: of the network that are cut.
        how: the machine is ended.
        command: of the user's, with ``how`` of that name.
        elsewhere: whether somebody else can start the machine again.
    """

    action: str
    deadline_s: int
    ways: tuple[str, ...] = ("ingress", "egress")
    how: str = HOWS[0]
    command: str = ""
    elsewhere: bool = False


def wrapped(program: str) -> str:
    """A program as one command line that no shell and no Ansible on its way changes."""
    packed = base64.b64encode(program.encode()).decode("ascii")
    return f'sh -c "$(printf %s {packed} | base64 -d)"'


def ask(address: str) -> str:
    """The program that has a node tell of itself.

    Args:
        address: the node's own, as the cluster knows it.
    """
    return f"{HEAD}\nset -- {shlex.quote(address)}\n{_ASK}{LOOK}"


def told(output: str) -> list[Row]:
    """What a program has said, in order; empty where it has not been heard.

    Raises:
        UserError: it refuses, or what it says is damaged.
    """
    rows = []
    for line in output.splitlines():
        _, mark, rest = line.partition(SAYS)
        if mark:
            try:
                rows.append(json.loads(rest))
            except ValueError as error:
                raise UserError(f"it has said {rest[:200]!r}, which nobody understands") from error
    if rows and "error" in rows[-1]:
        raise UserError(str(rows[-1]["error"]))
    return rows


def facts(output: str) -> Facts | None:
    """What a node says of itself; None: it does not answer.

    Raises:
        UserError: what it says is damaged.
    """
    rows = told(output)
    if len(rows) < 2:
        return None
    said, row = rows[:2]
    # Its kubelet is ours to start again only if we have stopped it.
    if str(row.get("kubelet")) in ("inactive", "failed") and not said["marked"]:
        row["kubelet"] = "stopped by somebody else"
    kept, kept_at = _kept(str(said["connection"]).split(), str(said["route"]).split())
    return Facts(
        kept=kept,
        kept_at=kept_at,
        interfaces=tuple(str(said["interfaces"]).split()),
        machine_id=str(said["machine_id"]),
        row=row | {"nameless": False},
    )


def _kept(connection: list[str], route: list[str]) -> tuple[Kept | None, str]:
    """The connection that sshd tells of, and the interface at which it arrives."""
    if len(connection) != 4:
        return None, ""
    client, _, own, port = connection
    follows = dict(itertools.pairwise(route))
    return Kept(client, own, int(port), follows.get("via", client)), follows.get("dev", "")


def program(deed: Deed, found: Facts) -> str:
    """The program that does it.

    Raises:
        UserError: nobody knows how.
    """
    if deed.action in ("join", "start-kubelet"):
        return HEAD + _DISARM
    bodies = {"cut-off": _cut_off, "stop-kubelet": lambda *_: _STOP_KUBELET, "kill": _kill, "reboot": _kill}
    body = bodies[deed.action](deed, found)
    whole = body.replace("{arm}", _ARM).replace("{place}", PLACE)
    return f"{HEAD}\ndeadline={deed.deadline_s}\n{whole}"


def _cut_off(deed: Deed, found: Facts) -> str:
    if not found.interfaces:
        raise UserError("it says of no interface that it has the node's address")
    cuts = [
        f"cut {name} {way} '{packets.program(way, found.kept if name == found.kept_at else None)}'"
        for name in found.interfaces
        for way in deed.ways
    ]
    return (
        _CUT_OFF.replace("{interfaces}", " ".join(found.interfaces))
        .replace("{preference}", str(PREFERENCE))
        .replace("{cuts}", "\n".join(cuts))
    )


def _kill(deed: Deed, _found: Facts) -> str:
    # One that is to come back by itself is ended in the one way after which it surely does.
    how = "reboot" if deed.action == "reboot" else deed.how
    ready = _READY[how].replace("{elsewhere}", "yes" if deed.elsewhere else "no")
    end = _END.get(how, deed.command)
    return (
        _KILL.replace("{ready}", ready).replace("{after_s}", str(_AFTER_S)).replace("{end}", shlex.quote(end))
    )


def at(said: Row, asked_at: float | None = None) -> float:
    """When it struck, in seconds since 1970, by the clock of whoever asked.

    Args:
        said: by the program.
        asked_at: when it was asked, by that clock, which counts for a node whose own is apart from it by more
            than a round trip. None: the clocks agree.
    """
    struck = float(said["at"]) + float(said.get("after_s", 0.0))
    if asked_at is not None and not 0 <= struck - asked_at <= _ROUND_TRIP_S:
        return asked_at + float(said.get("after_s", 0.0))
    return struck
