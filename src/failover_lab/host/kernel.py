"""``kernel``: can this machine's kernel carry so many nodes more?

Each node's systemd, kubelet and containerd watch files by some 17 inotify instances. The kernel counts those
of all nodes together with whatever else root runs, and gives 128. Of a kubelet that gets none, minikube says
that its node was not found.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse

PROC = Path("/proc")
MODULES = Path("/lib/modules")
_A_NODE = 17
# For what root starts meanwhile.
_SPARE = 16
# What a machine at rest holds, where this user may not look.
_AT_REST = 20


def _of_root(process: Path) -> bool:
    return process.stat().st_uid == 0


def held(proc: Path) -> int | None:
    """How many inotify instances root's processes hold; None where this user may not see all of them."""
    count = 0
    for process in proc.glob("[0-9]*"):
        try:
            if not _of_root(process):
                continue
            links = [os.readlink(fd) for fd in (process / "fd").iterdir()]  # noqa: PTH115  it names no path
        except PermissionError:
            return None
        except OSError:
            continue  # it has ended, or one of its files was closed
        count += sum(link == "anon_inode:inotify" for link in links)
    return count


def bridged_packets_are_filtered(proc: Path, modules: Path, release: str) -> bool:
    """Whether kube-proxy's rules hold between pods of one node: br_netfilter is there or can be loaded."""
    if (proc / "sys/net/bridge/bridge-nf-call-iptables").exists():
        return True
    for name in ("modules.dep", "modules.builtin"):
        try:
            if "/br_netfilter.ko" in (modules / release / name).read_text(encoding="utf-8", errors="replace"):
                return True
        except OSError:
            continue
    return False


def run(options: argparse.Namespace) -> Answer:
    """Check that the kernel can carry so many nodes more.

    Prints how many inotify instances there are, are held by others and are wanted for this lab, as JSON.

    Raises:
        UserError: pods of one node could not reach each other.
    """
    release = os.uname().release
    if (PROC / "sys/kernel").exists() and not bridged_packets_are_filtered(PROC, MODULES, release):
        raise UserError(
            f"the kernel module br_netfilter is neither loaded nor in {MODULES / release}, and without it "
            "pods of one node do not reach each other through a Service: restart this machine if its kernel "
            "was upgraded, install the kernel's extra modules, or `sudo modprobe br_netfilter`"
        )
    try:
        limit = int((PROC / "sys/fs/inotify/max_user_instances").read_text(encoding="ascii"))
    except OSError:
        limit = 0  # no Linux
    others = held(PROC)
    wanted = (_AT_REST if others is None else others) + _A_NODE * options.nodes + _SPARE
    data = {"limit": limit, "held": others, "wanted": wanted}
    print(json.dumps(data))
    return Answer(data)


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    parser = arguments.command(commands, "kernel", run)
    parser.add_argument("--nodes", required=True, type=int, metavar="N")
