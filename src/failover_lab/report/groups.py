"""Failed requests in groups that want one explanation."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.run.counts import commonest
from failover_lab.run.records import NEW, REUSED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from failover_lab.report.rows import Rows
    from failover_lab.run.records import Record

GAP_S = 2.0
# A connection that was dead already says so as soon as something is sent; after so long somebody was at work.
_AT_WORK_S = 0.1


def connection(record: Record) -> str:
    """What a request's connection was: one that had served before, or a new one, whoever opened it."""
    return REUSED if record.kind == REUSED and record.prior else NEW


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
        row_began: the first due time of the row of failures of which these are a part.
    """

    records: list[Record]
    pods: dict[str, int]
    row_began: float

    @property
    def kind(self) -> str:
        """What everyone's connection was."""
        return connection(self.first)

    @property
    def first(self) -> Record:
        """The earliest by due time; its outcome is everyone's."""
        return self.records[0]

    @property
    def at_work(self) -> bool:
        """Whether the other end was busy with these requests, with all of them or with none."""
        return was_at_work(self.first)

    @property
    def breaks(self) -> bool:
        """Whether somebody ended these, and did not merely keep silent."""
        return self.first.outcome in {Outcome.REFUSED, Outcome.RESET, Outcome.CLOSED_EARLY}

    def goes_on_since(self, at: float) -> bool:
        """Whether it is of a row of time-outs that was there by then: what came later is not their cause.

        What refuses now and then may be there besides, and its row hides where others begin.
        """
        return self.row_began < at and not self.breaks

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


def find(records: Rows, situation: Callable[[Record, str], Hashable]) -> list[Group]:
    """Failures of the same outcome, connection and situation, less than two seconds apart.

    Args:
        records: all, in the order of their due times.
        situation: what was so for a request, and for the pod at the other end of its connection, as far as
            that is known: what is true of one failure of a row need not be of the next.
    """
    open_groups: dict[Hashable, list[Record]] = {}
    rows: dict[Hashable, tuple[float, float]] = {}
    result: list[tuple[list[Record], float]] = []
    # Which pod a reused connection led to: known from its earlier answers.
    behind: dict[int, str] = {}
    other_end: dict[int, str] = {}
    for record in records.where(lambda record: record.failed or record.kind == REUSED):
        if record.kind == REUSED and record.local_port is not None:
            if record.pod:
                behind[record.local_port] = record.pod
            elif record.prior:
                other_end[record.number] = behind.get(record.local_port, "")
        if not record.failed:
            continue
        same = (connection(record), record.outcome, was_at_work(record))
        began, last = rows.get(same, (record.due, record.due))
        if record.due - last > GAP_S:
            began = record.due
        rows[same] = (began, record.due)
        key = (same, situation(record, record.pod or other_end.get(record.number, "")))
        current = open_groups.get(key)
        if current is None or record.due - current[-1].due > GAP_S:
            current = open_groups[key] = []
            result.append((current, began))
        current.append(record)
    found = []
    for members, row_began in result:
        pods = collections.Counter(m.pod or other_end.get(m.number, "") for m in members)
        pods.pop("", None)
        found.append(Group(members, dict(commonest(pods)), row_began))
    return sorted(found, key=lambda group: group.began)


def one(groups: list[Group]) -> Group:
    """All of them as one."""
    pods = collections.Counter[str]()
    for group in groups:
        pods.update(group.pods)
    records = sorted((r for group in groups for r in group.records), key=lambda record: record.due)
    return Group(records, dict(commonest(pods)), min(group.row_began for group in groups))


def merge(groups: list[Group]) -> list[Group]:
    """One group for each outcome and connection, however far apart."""
    together: dict[tuple[str, Outcome], list[Group]] = collections.defaultdict(list)
    for group in groups:
        together[group.kind, group.first.outcome].append(group)
    return [one(members) for members in together.values()]
