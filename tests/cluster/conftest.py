"""A lab of its own for the tests: its own profile, state, kubeconfig and reports; the caches are the user's.

What the tests judge with is not what the roles work with: kubectl, plain requests, docker's command, and the
interface of the registry itself.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import yaml
from tests.beside import LARGE, PARTS, SMALL, Beside

if TYPE_CHECKING:
    from . import detection

ROOT = Path(__file__).parents[2]
PROFILE = "failover-lab-test"
# For runs that are not about the steady state, which is waited for twice.
SHORT = ("-e", "witness_steady_s=2")
# Where molecule makes a cluster beside them, how long an answer takes says nothing. None is lost even so.
BUSY = ("-e", "witness_max_slowest_ms=0")
# A second lab, beside it for a while.
SECOND = f"{PROFILE}-2"
# One with a control plane of three, once the first is gone.
THREE = f"{PROFILE}-3"


@dataclass
class Played:
    """How a play ended."""

    returncode: int
    output: str
    took_s: float

    @property
    def changed(self) -> int:
        """The number of changed tasks in the recap."""
        match = re.search(r"changed=(\d+)", self.output)
        assert match, self.output[-3000:]
        return int(match[1])

    @property
    def error(self) -> str:
        """What the first failure says, on one line, and without what YAML makes of quotation marks."""
        said = self.output.partition("fatal: ")[2].partition("PLAY RECAP")[0]
        return " ".join(said.replace("''", "'").split())


@dataclass
class Lab:
    """The tests' lab, and independent means to look at it."""

    home: Path
    environment: dict[str, str]
    profile: str = PROFILE
    namespace: str = "site"
    setups: list[Played] = field(default_factory=list)
    # The folders of drains that passed, whose pods may be gone meanwhile.
    drains: list[Path] = field(default_factory=list)
    # Whether the last that was played is a setup, which has left pods and all as it leaves them.
    is_as_set_up: bool = False
    # Whether a test has removed it, and seen that nothing of it is left.
    gone: bool = False
    # The containers' names and ids when the first setup of all was killed.
    half_made: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Where this lab keeps its secrets and its journal."""
        return self.home / "state" / "failover-lab" / self.profile

    @property
    def within(self) -> str:
        """kubectl's option for the site's namespace."""
        return f"--namespace={self.namespace}"

    @property
    def reports(self) -> Path:
        """Where this lab's reports go."""
        return self.home / "reports"

    def command(self, playbook: str, *options: str) -> list[str]:
        """The command line of a play on this lab."""
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        settings = {"lab_profile": self.profile, "lab_reports_dir": str(self.reports)}
        return [program, f"{playbook}.yml", "-e", json.dumps(settings), *options]

    @property
    def played(self) -> Path:
        """Where it is written down what was played: a list of words in each line."""
        return self.home / "played.jsonl"

    def note(self, playbook: str, options: tuple[str, ...]) -> None:
        """Write down what is played."""
        self.is_as_set_up = False
        with self.played.open("a", encoding="utf-8") as file:
            file.write(json.dumps(["ansible-playbook", f"{playbook}.yml", *options]) + "\n")

    def play(self, playbook: str, *options: str, **environment: str) -> Played:
        """Run a play to its end."""
        self.note(playbook, options)
        began = time.monotonic()
        done = subprocess.run(
            self.command(playbook, *options),
            cwd=ROOT,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3600,
            check=False,
        )
        self.is_as_set_up = playbook == "setup" and not options and not environment and done.returncode == 0
        return Played(done.returncode, done.stdout, time.monotonic() - began)

    def put_back(self) -> None:
        """Leave the lab as setup does, pods and all; where a setup was what was played last, it is."""
        if not self.is_as_set_up:
            played = self.play("setup")
            assert played.returncode == 0, played.output[-4000:]

    def start(
        self, playbook: str, *options: str, output: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start a play as the leader of a process group of its own."""
        self.note(playbook, options)
        return subprocess.Popen(
            self.command(playbook, *options),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says of this lab."""
        found = sorted(
            Path(self.environment["LAB_CACHE"]).glob("*/*/kubectl"), key=lambda path: path.stat().st_mtime
        )
        assert found, "setup left no kubectl in the cache"
        done = subprocess.run(
            [found[-1], "--context", self.profile, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *what: str) -> Any:
        """Objects of the cluster, by kubectl."""
        return json.loads(self.kubectl("get", *what, "--output=json"))

    def pods(self) -> dict[str, tuple[str, str]]:
        """The site's living pods: name to UID and node."""
        items = self.get("pods", self.within, "--selector=app.kubernetes.io/name=site")["items"]
        return {
            pod["metadata"]["name"]: (pod["metadata"]["uid"], pod["spec"].get("nodeName", ""))
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
        }

    def rolled_out(self) -> None:
        """Wait until the site's Deployment is rolled out."""
        self.kubectl("rollout", "status", "deployment/site", self.within, "--timeout=50s")

    def spread_anew(self) -> None:
        """Have pods on every node again: one that was drained carries none, and may be the next."""
        self.kubectl("rollout", "restart", "deployment/site", self.within)
        self.rolled_out()
        self.settled()

    def settled(self) -> None:
        """Wait until none of the site's pods is on its way out."""
        deadline = time.monotonic() + 60
        while any("deletionTimestamp" in pod["metadata"] for pod in self.get("pods", self.within)["items"]):
            assert time.monotonic() < deadline, "pods that were deleted are still there after 60 s"
            time.sleep(0.5)

    def cordoned(self) -> list[str]:
        """The nodes that take no pods."""
        return [
            node["metadata"]["name"]
            for node in self.get("nodes")["items"]
            if node["spec"].get("unschedulable", False)
        ]

    def journal(self) -> dict[str, Any]:
        """What the run that is going on has written down; nothing where there is none."""
        try:
            content: dict[str, Any] = json.loads((self.state / "journal.json").read_text())
        except FileNotFoundError:
            return {}
        return content

    def url(self) -> str:
        """The Service's address."""
        service = self.get("service", "site", self.within)
        return f"http://{service['status']['loadBalancer']['ingress'][0]['ip']}"

    def ask(self, path: str) -> tuple[str, dict[str, str]]:
        """One request on a new connection: body and headers, in small letters."""
        with urllib.request.urlopen(self.url() + path, timeout=5) as answer:  # noqa: S310 - our own cluster
            return answer.read().decode(), {key.lower(): value for key, value in answer.headers.items()}

    def registry_port(self) -> int:
        """Where the lab's own registry listens, on loopback."""
        return int(docker("port", f"{self.profile}-registry", "5000/tcp").rpartition(":")[2])

    def registry(self, path: str, *, login: bool = True) -> Any:
        """Ask the lab's own registry.

        Raises:
            urllib.error.HTTPError: it said no.
        """
        request = urllib.request.Request(f"http://127.0.0.1:{self.registry_port()}{path}")
        if login:
            password = (self.state / "registry" / "password").read_text().strip()
            request.add_header(
                "Authorization", "Basic " + base64.b64encode(f"lab:{password}".encode()).decode()
            )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own registry
            return json.loads(answer.read() or b"{}")


# What shares the machine comes first, beside other parts of the suite. By night, beside test_sabotage and
# test_cut_short, which make no cluster and measure no times, run scenarios of molecule: six nodes in all, and
# seven. Nine were seen to keep two cores full, most of it in the kernel.
ORDER = [
    "test_setup",
    "test_refusals",
    "test_apart",
    "test_image",
    "test_second_lab",
    "test_beside",
    "test_their_application",
    "test_drain",
    "test_drain_fails",
    # It ends with a setup, which the next one begins with.
    "test_existing",
    "test_live",
    "test_given",
    "test_controls",
    "test_sabotage",
    "test_put_right",
    "test_false_report",
    "test_whole_lab",
    "test_scenarios",
    "test_two_at_once",
    "test_detection",
    "test_sudden",
    "test_operator",
    "test_watchdog_kept_on",
    "test_cut_short",
    "test_nodes_not_ours",
    "test_alternative",
    "test_slower",
    "test_documented",
    # Its nodes are too many for those before.
    "test_zone",
    "test_teardown",
    "test_control_plane",
    "test_kind",
]


LAST = "test_teardown"
# With a cluster of their own, which comes after that.
APART = ("test_control_plane", "test_kind")
# In the story of `make test` these have their turn while the quick tests run: first who judges it.
EARLY = ("test_sabotage", "test_put_right")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The story of `make test` first, each part from what everything rests on to what leaves nothing.

    Other tests stay where they are.
    """
    folders = (Path(__file__).parent, Path(__file__).parents[1] / "molecule")
    mine = [item for item in items if item.path.parent in folders]

    def place(item: pytest.Item) -> tuple[bool, bool, bool, int, int]:
        name, nightly = item.path.stem, item.get_closest_marker("nightly") is not None
        early = EARLY.index(name) if name in EARLY and not nightly else len(EARLY)
        return (
            name in APART,
            name == LAST,
            nightly,
            ORDER.index("test_beside" if early < len(EARLY) else name),
            early,
        )

    mine.sort(key=place)
    first = next((index for index, item in enumerate(items) if item in mine), 0)
    others = [item for item in items if item not in mine]
    items[:] = others[:first] + mine + others[first:]


def docker(*arguments: str) -> str:
    """What the docker command says."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def paused(lab: Lab, node: str) -> Iterator[None]:
    """A node stands still; afterwards the cluster, too, takes it for well."""
    docker("pause", node)
    try:
        yield
    finally:
        docker("unpause", node)
        # At its next look its kubelet may find that the runtime was silent for too long, and call the node
        # not ready until the look after that. It looks every ten seconds.
        time.sleep(11)
        lab.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=50s")
        lab.rolled_out()


def apply_role(name: str, environment: dict[str, str], *options: str) -> None:
    """Apply one role, without a playbook."""
    program = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [program, "lab", "--module-name=ansible.builtin.include_role", f"--args=name={name}", *options],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


def give_addresses(lab: Lab, network: str) -> None:
    """MetalLB, as anybody may have it, with addresses of the nodes' network."""
    ranges = [one["Subnet"] for one in json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"]]
    prefix = next(one for one in ranges if ":" not in one).rpartition(".")[0]
    manifests = sorted(Path(lab.environment["LAB_CACHE"]).glob("manifests/metallb-*.yaml"))
    settings = {
        "load_balancer_pool": f"{prefix}.200-{prefix}.250",
        "load_balancer_manifest": str(manifests[-1]),
    }
    there = {"K8S_AUTH_CONTEXT": lab.profile, "K8S_AUTH_KUBECONFIG": lab.environment["KUBECONFIG"]}
    apply_role("load_balancer", lab.environment | there, "-e", json.dumps(settings))


def put_right(result: Lab) -> None:
    """Remove what a killed test run has left: its containers outlive it, and the machine."""
    if not (result.home / "data").exists():
        return
    # Without a running engine nobody knows what there is to remove.
    apply_role("engine", result.environment)
    others = [dataclasses.replace(result, profile=profile) for profile in (SECOND, THREE)]
    for left in [*(other for other in others if other.state.exists()), result]:
        gone = left.play("teardown")
        assert gone.returncode == 0, gone.output[-6000:]


def containers_of(profile: str) -> dict[str, str]:
    """The containers of a profile's nodes, whether they run or not: names and ids; none without an engine."""
    listing = ["docker", "ps", "--all", "--no-trunc", "--format={{.Names}} {{.ID}}"]
    if shutil.which(listing[0]) is None:
        return {}
    pattern = f"--filter=name=^{profile}(-m[0-9]+)?$"
    done = subprocess.run([*listing, pattern], capture_output=True, text=True, timeout=60, check=False)
    return dict(line.split() for line in done.stdout.splitlines())


def cut_short(result: Lab, number: signal.Signals, *options: str, nodes: int) -> None:
    """Start a setup, and send it this signal as its so-and-so-many-th node is there."""
    log = result.home / "cut-short-setup.log"
    with log.open("w") as output:
        process = result.start("setup", *options, output=output)
        began = time.monotonic()
        try:
            while len(containers_of(result.profile)) < nodes:
                assert process.poll() is None, log.read_text()[-6000:]
                assert time.monotonic() - began < 3600, f"no {nodes} nodes within an hour"
                time.sleep(0.2)
        finally:
            # One that has ended is nobody's any more.
            if process.poll() is None:
                os.killpg(process.pid, number)
            process.wait(timeout=60)


def set_up_and_kill(result: Lab) -> None:
    """Start a setup, and kill it in the middle of making the cluster: as its second node is there."""
    cut_short(result, signal.SIGKILL, nodes=2)
    result.half_made = containers_of(PROFILE)
    # As after a power cut: minikube knows of nodes that are gone, and its status says "null".
    docker("container", "rm", "--force", *result.half_made)
    assert not (result.state / "cluster.json").exists(), "setup was further than it should have been"


@pytest.fixture(scope="session")
def unmade() -> Iterator[Lab]:
    """A lab that is yet to be set up.

    It lives at a place that the next test run knows, and only one can have it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "failover-lab"
    home = cache / "tests" / "lab"
    kubeconfig = home / "kubeconfig"
    result = Lab(
        home,
        os.environ
        | {
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_DATA_HOME": str(home / "data"),
            "KUBECONFIG": str(kubeconfig),
            "LAB_CACHE": str(cache),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "lab.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"another test run has the lab in {home}: wait for it, or end it", returncode=2)
        put_right(result)
        if home.exists():
            shutil.rmtree(home)
        home.mkdir(mode=0o700)
        # A user's own context, which must be the current one before and after.
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "users-own",
                    "contexts": [
                        {"name": "users-own", "context": {"cluster": "users-own", "user": "users-own"}}
                    ],
                    "clusters": [{"name": "users-own", "cluster": {"server": "https://127.0.0.1:1"}}],
                    "users": [{"name": "users-own", "user": {}}],
                }
            )
        )
        yield result
        # The reports stay until the next run: they tell what a test that failed has seen.
        shutil.rmtree(home / "data", ignore_errors=True)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, unmade: Lab, beside: Beside) -> Iterator[Lab]:
    """A lab that is set up; removed at the end, however the tests went."""
    try:
        if any("half_made" in getattr(item, "fixturenames", ()) for item in request.session.items):
            set_up_and_kill(unmade)
        unmade.setups.append(unmade.play("setup"))
        assert unmade.setups[0].returncode == 0, unmade.setups[0].output[-6000:]
        yield unmade
    finally:
        if not unmade.gone:
            gone = unmade.play("teardown")
            assert gone.returncode == 0, gone.output[-6000:]


@pytest.fixture(scope="session")
def half_made(lab: Lab) -> dict[str, str]:
    """The containers of a setup that was killed, before the one that made the lab: names and ids."""
    return lab.half_made


@pytest.fixture(scope="session")
def nightly_parts_ahead(lab: Lab, beside: Beside) -> None:
    """The parts of the suite that take minutes run from now on; one of them looks at what setup has built."""
    assert lab.setups
    beside.ahead(name for name, part in PARTS.items() if part.nightly)


@pytest.fixture(scope="session")
def small_scenarios_ahead(lab: Lab, beside: Beside) -> None:
    """Molecule's small scenarios run from now on.

    Half of the time of either is waiting. What has to be built is there: the lab was set up.
    """
    assert lab.setups
    beside.ahead(SMALL)


@pytest.fixture(scope="session")
def large_scenario_ahead(lab: Lab, beside: Beside) -> None:
    """Molecule's large scenario likewise."""
    assert lab.setups
    beside.ahead([LARGE])


@pytest.fixture(scope="session")
def faster(lab: Lab) -> detection.Change:
    """A dead node is noticed after five seconds from now on; how the lab came to that."""
    from . import detection

    return detection.change(lab, *detection.FAST)
