"""What is built, in which order, and how much of it at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import steps
from tests.pinned import PINS
from tests.role_variables import ROLES, holds, task, templated

MODULES = {"kubernetes", "etcd", "coredns", "crictl", "flannel", "metallb", "registry", "minikube"}


def seen(cache: Path, *, images: str = "modules") -> dict[str, Any]:
    """What the role has found out before it builds."""
    found = {
        "ansible_facts": {"architecture": "x86_64"},
        "ansible_playbook_python": "python3",
        "toolchain_cache_dir": str(cache),
        "__toolchain_chosen": "modules",
        "__toolchain_images_chosen": images,
        "__toolchain_tags": [],
        "__toolchain_images_missing": images == "modules",
        "__toolchain_key": "key",
        "__toolchain_cores": 2,
        "__toolchain_available_mib": 24000,
    }
    return found | {"__toolchain_rows": templated("toolchain", "{{ __toolchain_modules }}", **found)}


def rows(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps, by name."""
    return {row["name"]: row for row in templated("toolchain", "{{ __toolchain_all_steps }}", **found)}


def planned(found: dict[str, Any]) -> steps.Plan:
    """The same as the plugin has them."""
    at_once = templated("toolchain", "{{ __toolchain_at_once }}", **found)
    return steps.Plan([steps.Step(**row) for row in rows(found).values()], at_once)


def test_everything_that_is_needed_is_made_before(tmp_path: Path) -> None:
    plan = planned(seen(tmp_path))
    names = [step.name for step in plan.steps]
    assert set(names) >= MODULES | {"go", "rootfs-node", "import-tools", "images", "archive", "node"}
    assert names[-1] == "node"


def test_kubernetes_begins_first_and_all_else_stands_back_for_it(tmp_path: Path) -> None:
    found = seen(tmp_path)
    builds = [row for row in rows(found).values() if row.get("kind") == "build"]
    assert [row["name"] for row in builds if row["nice"] == 0] == ["kubernetes"]
    assert builds[0]["name"] == "kubernetes"
    plan = planned(found)
    while not any(step.name == "kubernetes" for step in plan.running):
        step = plan.next()
        assert step is not None
        plan.start(step)
        if step.name in {"go", "fetch-kubernetes"}:
            plan.end(step)
    assert not {step.name for step in plan.running} & (MODULES - {"kubernetes"})


def test_only_what_kubernetes_is_part_of_waits_for_it(tmp_path: Path) -> None:
    plan, made = planned(seen(tmp_path)), set()
    while any(step.name != "kubernetes" for step in plan.running) or plan.next():
        while step := plan.next():
            plan.start(step)
        for step in [step for step in plan.running if step.name != "kubernetes"]:
            plan.end(step)
            made.add(step.name)
    assert [step.name for step in plan.waiting] == ["kubernetes-images", "archive", "node"]
    assert made >= MODULES - {"kubernetes"}


@pytest.mark.parametrize(
    ("mib", "builds", "compiler_mib", "all_at_once"),
    [(1500, 1, 1024, 1), (4500, 1, 1125, 6), (7900, 1, 1975, 6), (8192, 2, 1024, 6), (24000, 2, 2048, 6)],
)
def test_a_small_machine_has_less_to_do_at_once(
    tmp_path: Path, mib: int, builds: int, compiler_mib: int, all_at_once: int
) -> None:
    found = seen(tmp_path) | {"__toolchain_available_mib": mib}
    at_once = templated("toolchain", "{{ __toolchain_at_once }}", **found)
    assert (at_once["build"], at_once["all"]) == (builds, all_at_once)
    memory = rows(found)["kubernetes"]["environment"]["GOMEMLIMIT"]
    assert memory == f"{compiler_mib}MiB"


def test_what_an_earlier_run_has_left_is_not_made_again(tmp_path: Path) -> None:
    found = seen(tmp_path)
    etcd = rows(found)["etcd"]
    Path(etcd["argv"][etcd["argv"].index(etcd["chdir"]) + 1]).mkdir(parents=True)
    image = next(row["image"] for row in templated("toolchain", "{{ __toolchain_rootfs }}", **found))
    done = {name for name, row in rows(found | {"__toolchain_tags": [image]}).items() if row["done"]}
    assert done == {"fetch-etcd", "etcd", "import-node"}


def test_only_the_commands_where_images_can_be_pulled(tmp_path: Path) -> None:
    names = set(rows(seen(tmp_path, images="release")))
    assert names == {"go", "fetch-kubernetes", "kubernetes", "fetch-minikube", "minikube"}


def test_an_earlier_build_has_filled_its_part_of_the_room(tmp_path: Path) -> None:
    found = seen(tmp_path)
    all_steps = list(rows(found).values())
    left = [row | {"done": row["name"] != "node"} for row in all_steps]
    room = [
        float(templated("toolchain", "{{ __toolchain_build_gib }}", **found, __toolchain_steps=some))
        for some in (all_steps, left)
    ]
    assert room[0] == pytest.approx(15, abs=0.5)
    assert room[1] == 3


def test_room_is_counted_in_one_unit() -> None:
    enough = task("toolchain", "room", "Room | Enough")["ansible.builtin.assert"]["that"]
    for free_mib, expected in ((3071, False), (3072, True)):
        df = {"stdout_lines": ["Avail", str(free_mib)]}
        assert holds("toolchain", enough, __toolchain_df=df, __toolchain_room_gib=3) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"ldflags": "-X version=v0"},
        {"tags": ["other"]},
        {"cgo": True},
        {"packages": ["example.org/other"]},
        {"links": ["other"]},
    ],
)
def test_what_is_built_otherwise_is_another_result(tmp_path: Path, change: dict[str, Any]) -> None:
    settings = {"toolchain_cache_dir": str(tmp_path)}
    recipes = templated("toolchain", "{{ __toolchain_module_rows }}", **settings)
    (etcd,) = [row for row in recipes if row["name"] == "etcd"]

    def folder(row: dict[str, Any]) -> str:
        (made,) = templated(
            "toolchain", "{{ __toolchain_modules }}", **settings, __toolchain_module_rows=[row]
        )
        return str(made["dir"])

    assert folder(etcd) == folder(dict(etcd))
    assert folder(etcd) != folder(etcd | change)


def required(lock: Path) -> dict[str, str]:
    """The versions that a go.mod names, those that it puts in others' places included."""
    text = lock.read_text(encoding="utf-8")
    instead = dict(re.findall(r"^\t(\S+) => \S+ (v\S+)", text, re.MULTILINE))
    return dict(re.findall(r"^\t(\S+) (v\S+)", text, re.MULTILINE)) | instead


def test_what_several_are_made_of_is_compiled_once() -> None:
    versions: dict[str, set[str]] = {}
    for lock in (ROLES / "toolchain" / "files" / "modules").glob("*/go.mod"):
        for module, version in required(lock).items():
            # Some do not compile with the version that others ask for.
            if module not in PINS[lock.parent.name].older:
                versions.setdefault(module, set()).add(version)
    several = {module: sorted(found) for module, found in versions.items() if len(found) > 1}
    assert several == {}, "raise each to the newest of them: go get MODULE@VERSION"


def test_a_stand_in_is_made_as_other_images_are(tmp_path: Path) -> None:
    recipes = {"files": [{"path": f"/x/stand-ins/{name}/Dockerfile", "checksum": name} for name in "ab"]}
    found = seen(tmp_path) | {
        "toolchain_stand_ins_wanted": ["python", "nginx"],
        "__toolchain_stand_in_recipes": recipes,
    }
    found["__toolchain_rootfs_rows"] = templated("toolchain", "{{ __toolchain_stand_in_rootfs }}", **found)
    (tmp_path / "rootfs").mkdir()
    made = templated("toolchain", "{{ __toolchain_rootfs }}", **found)
    Path(made[0]["archive"]).touch()
    wanted = templated("toolchain", "{{ __toolchain_stand_in_rows }}", **found)
    assert [row["name"] for row in wanted] == ["python", "nginx"]
    plan = [
        (row["name"], row.get("needs"), row["done"])
        for row in templated("toolchain", "{{ __toolchain_stand_in_steps }}", **found)
    ]
    assert plan == [
        ("rootfs-python", None, True),
        ("import-python", ["rootfs-python"], False),
        ("python", ["import-python"], False),
        ("rootfs-nginx", None, False),
        ("import-nginx", ["rootfs-nginx"], False),
        ("nginx", ["import-nginx"], False),
    ]
    there = found | {"__toolchain_tags": [row["image"] for row in wanted[1:]]}
    left = templated("toolchain", "{{ __toolchain_stand_in_steps }}", **there)
    assert [row["name"] for row in left] == ["rootfs-python", "import-python", "python"]
    assert len({row["image"] for row in [*wanted, *made]}) == 4
