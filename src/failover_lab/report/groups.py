"""Failed requests in groups that want one explanation."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.run.records import REUSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from failover_lab.run.records import Record

GAP_S = 2.0
# A connection that was dead already says so as soon as something is sent; after so long somebody was at work.
_AT_WORK_S = 0.1


def was_at_work(record: Record) -> bool:
    """Whether the other end was busy with this very request as the connection broke."""
    return (
        record.outcome in {Outcome.RESET, Outcome.CLOSED_EARLY}
        and record.sent is not None
        and (record.detail == "after_part" or record.done - record.sent >= _AT_WORK_S)
    )


@dataclass(frozen=True)
class Group:
    """Failures of one kind that came together, or that have one cause.

    Attributes:
        pods: who answered wrongly, or who was at the other end of a reused connection, with counts.
    """

    records: list[Record]
    pods: dict[str, int]

    @property
    def first(self) -> Record:
        """The earliest by due time; its outcome and kind are everyone's."""
        return self.records[0]

    @property
    def at_work(self) -> bool:
        """Whether the other end was busy with these requests, with all of them or with none."""
        return was_at_work(self.first)

    @property
    def began(self) -> float:
        """The first due time."""
        return self.first.due

    @property
    def ended(self) -> float:
        """When the last one was known to have failed."""
        return max(record.done for record in self.records)

    @property
    def last_due(self) -> float:
        """The last due time."""
        return self.records[-1].due


def find(records: list[Record], situation: Callable[[Record], Hashable]) -> list[Group]:
    """Failures of the same outcome, kind of connection and situation, less than two seconds apart.

    Args:
        records: all, in the order of their due times.
        situation: something by which failures have to be told apart that else come together.
    """
    open_groups: dict[tuple[str, Outcome, bool, Hashable], list[Record]] = {}
    result: list[list[Record]] = []
    # Which pod a reused connection led to: known from its earlier answers.
    behind: dict[int, str] = {}
    other_end: dict[int, str] = {}
    for record in records:
        if record.kind == REUSED and record.local_port is not None:
            if record.pod:
                behind[record.local_port] = record.pod
            elif record.prior:
                other_end[record.number] = behind.get(record.local_port, "")
        if not record.failed:
            continue
        key = (record.kind, record.outcome, was_at_work(record), situation(record))
        current = open_groups.get(key)
        if current is None or record.due - current[-1].due > GAP_S:
            current = open_groups[key] = []
            result.append(current)
        current.append(record)
    found = []
    for members in result:
        pods = collections.Counter(m.pod or other_end.get(m.number, "") for m in members)
        pods.pop("", None)
        found.append(Group(members, dict(pods.most_common())))
    return sorted(found, key=lambda group: group.began)


def one(groups: list[Group]) -> Group:
    """All of them as one."""
    pods = collections.Counter[str]()
    for group in groups:
        pods.update(group.pods)
    records = sorted((r for group in groups for r in group.records), key=lambda record: record.due)
    return Group(records, dict(pods.most_common()))


def merge(groups: list[Group]) -> list[Group]:
    """One group for each outcome and kind of connection, however far apart."""
    together: dict[tuple[str, Outcome], list[Group]] = collections.defaultdict(list)
    for group in groups:
        together[group.first.kind, group.first.outcome].append(group)
    return [one(members) for members in together.values()]
