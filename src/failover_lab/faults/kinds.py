"""The kinds of fault: kinds.yml, read and checked. Whoever has to tell kinds apart asks here."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.nodes import symptoms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TABLE = "kinds.yml"
RECOVERIES = ("automatic", "watchdog", "manual")
RETURNS = ("restart", "replace", "leave")
TAKEN = ("pods", "application", "program", "namespaces", "kubelet", "machine", "share")

# What ends a part of a pod that starts again where it was.
_KILLS = {"program": "kill-first", "namespaces": "kill-sandbox"}


@dataclass(frozen=True)
class Kind:
    """One row of the table, where each column is explained."""

    name: str
    about: str
    says: str
    does: str
    needs: str
    takes: str
    evicts: bool
    loses_node: bool
    silent: bool
    symptom: str | None
    heals: int | None
    check_mode: bool
    settings: tuple[str, ...]

    @property
    def takes_node(self) -> bool:
        """Whether the node itself is broken, without a word."""
        return self.takes in ("kubelet", "machine", "share")

    @property
    def moves_pods(self) -> bool:
        """Whether the pods have to find a place on other nodes."""
        return self.evicts or self.loses_node

    @property
    def spares_node(self) -> bool:
        """Whether the node goes on as if nothing were, and takes the pods' replacements."""
        return self.in_place or (self.takes in ("pods", "application") and not self.evicts)

    @property
    def polite(self) -> bool:
        """Whether everybody is told in time, so that no request should be lost."""
        return self.evicts or self.takes == "application"

    @property
    def in_place(self) -> bool:
        """Whether pods are struck whose containers start again where they were, with the same UID."""
        return self.takes in ("program", "namespaces")

    @property
    def comes_back(self) -> bool:
        """Whether the machine goes, and comes back by itself before anybody holds it for lost."""
        return self.takes == "machine" and not self.loses_node

    @property
    def replaces_pods(self) -> bool:
        """Whether new pods take the place of those that it strikes; else they start again where they were."""
        return self.moves_pods or self.takes in ("pods", "application")

    @property
    def recoveries(self) -> tuple[str, ...]:
        """Who may give the node's work away; a node that its peers reach, no watchdog finds dead."""
        if not self.loses_node:
            return RECOVERIES[:1]
        return tuple(who for who in RECOVERIES if who != "watchdog" or self.silent)

    @property
    def returns(self) -> tuple[str, ...]:
        """What may become of the node afterwards; one that lives on is not replaced."""
        return RETURNS if self.loses_node and self.takes == "machine" else RETURNS[:1]

    @property
    def verbs(self) -> tuple[str, ...]:
        """What a driver has to be able to do to a node, and to undo: actions of the role ``node``."""
        if self.in_place:
            return (_KILLS[self.takes],)
        verbs = symptoms.VERBS.get(self.symptom or "", ())
        return ("reboot", *verbs[1:]) if self.comes_back else verbs

    @property
    def shown_by(self) -> str | None:
        """Who shows the symptom."""
        return None if self.symptom is None else symptoms.SYMPTOMS[self.symptom]

    def row(self) -> dict[str, Any]:
        """All of it as plain values, for the roles."""
        derived = (
            "takes_node",
            "moves_pods",
            "spares_node",
            "polite",
            "in_place",
            "comes_back",
            "replaces_pods",
            "recoveries",
            "returns",
            "shown_by",
            "verbs",
        )
        values = asdict(self) | {name: getattr(self, name) for name in derived}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


# Of a run that does not say what was done: the probe alone, say.
NOTHING = Kind(
    name="",
    about="",
    says="The run",
    does="do nothing",
    needs="api",
    takes="nothing",
    evicts=False,
    loses_node=False,
    silent=False,
    symptom=None,
    heals=None,
    check_mode=False,
    settings=(),
)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_symptom(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in symptoms.SYMPTOMS)


def _is_settings(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


# What each column takes, in words, and how it is known.
_COLUMNS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "about": ("a text", _is_text),
    "says": ("a text", _is_text),
    "does": ("a text", _is_text),
    "needs": ("api or driver", lambda value: value in ("api", "driver")),
    "takes": (f"one of {', '.join(TAKEN)}", lambda value: value in TAKEN),
    "evicts": ("true or false", _is_flag),
    "loses_node": ("true or false", _is_flag),
    "silent": ("true or false", _is_flag),
    "symptom": (f"null or one of {', '.join(symptoms.SYMPTOMS)}", _is_symptom),
    "heals": ("null or a whole number", lambda value: value is None or type(value) is int),
    "check_mode": ("true or false", _is_flag),
    "settings": ("a list of names", _is_settings),
}


def _kind(name: str, row: object) -> Kind:
    if not isinstance(row, dict):
        raise UserError(f"{TABLE}: {name} is no row of columns")
    for column, (what, fits) in _COLUMNS.items():
        if column not in row:
            raise UserError(f"{TABLE}: {name} does not say {column}: {what}")
        if not fits(row[column]):
            raise UserError(f"{TABLE}: {name} says {column}: {row[column]}, and not {what}")
    if unknown := sorted(set(row) - set(_COLUMNS)):
        raise UserError(f"{TABLE}: {name} says {unknown[0]}, which is no column")
    return Kind(name=name, **row | {"settings": tuple(row["settings"])})


def _in_turn(kinds: Mapping[str, Kind]) -> list[Kind]:
    """Those that heal, in their turn."""
    return sorted(
        (kind for kind in kinds.values() if kind.heals is not None), key=lambda kind: kind.heals or 0
    )


def _check_healers(kinds: Mapping[str, Kind]) -> None:
    """See that each symptom is healed by one kind, and none before it can be seen.

    Raises:
        UserError: it is not so.
    """
    healers: dict[str, Kind] = {}
    for kind in _in_turn(kinds):
        if kind.symptom is None:
            raise UserError(f"{TABLE}: {kind.name} heals, and says no symptom to heal")
        if (other := healers.get(kind.symptom)) is not None:
            raise UserError(
                f"{TABLE}: {other.name} and {kind.name} both heal {kind.symptom}: one of them may"
            )
        healers[kind.symptom] = kind
    for kind in kinds.values():
        if kind.symptom is not None and kind.symptom not in healers:
            raise UserError(f"{TABLE}: {kind.name} leaves {kind.symptom}, which no kind heals")
    turns = [kind.heals for kind in healers.values()]
    asked = [symptoms.SHOWN_BY.index(symptoms.SYMPTOMS[symptom]) for symptom in healers]
    if asked != sorted(asked) or len(set(turns)) < len(turns):
        order = ", ".join(f"{kind.name} {kind.heals}" for kind in healers.values())
        raise UserError(
            f"{TABLE}: each heals in a turn of its own, those of what the cluster shows first, then of what "
            f"the engine shows, then of what the node itself shows: {order} do not"
        )


def read(text: str) -> dict[str, Kind]:
    """The kinds that a table has, by name.

    Raises:
        UserError: the table is not as it should be.
    """
    # Most commands need no table, and so no parser for it.
    import yaml  # noqa: PLC0415

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{TABLE} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{TABLE} has no rows")
    kinds = {str(name): _kind(str(name), row) for name, row in content.items()}
    _check_healers(kinds)
    return kinds


@functools.cache
def table() -> Mapping[str, Kind]:
    """The kinds by name, in the order of the table."""
    return read((importlib.resources.files(__package__) / TABLE).read_text(encoding="utf-8"))


def names() -> list[str]:
    """All kinds' names, in the order of the table."""
    return list(table())


def healers() -> list[Kind]:
    """The kinds whose heal.yml is played where nodes show their symptom, in their turn."""
    return _in_turn(table())


def of(name: str | None) -> Kind:
    """The kind of this name; ``NOTHING`` where a run does not say which.

    Raises:
        UserError: there is none.
    """
    if name is None:
        return NOTHING
    if (kind := table().get(name)) is None:
        known = ", ".join(names())
        raise UserError(f"fault_kind '{name}' is not known: choose one of {known}.")
    return kind


def first(fits: Callable[[Kind], bool]) -> str:
    """The name of the first kind that fits, as one that a message may advise."""
    return next(kind.name for kind in table().values() if fits(kind))
