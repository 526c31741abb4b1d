"""Requests are matched with what the kernels said by the client's port and the time."""

from __future__ import annotations

from typing import Any

import pytest

from failover_lab.run.records import Outcome, Record
from failover_lab.trace.join import Join, Way
from failover_lab.trace.log import Line, Span

CLIENT = "192.168.49.1"


def request(at: float, port: int = 4000, **facts: Any) -> Record:
    """One that was answered after a millisecond, unless told otherwise."""
    known: dict[str, Any] = {
        "number": 1, "kind": "new", "due": at, "connected": at + 0.0005, "sent": at + 0.0006,
        "done": at + 0.001, "outcome": Outcome.OK, "status": 200, "pod": "", "node": "", "local_port": port,
        "prior": 0, "late_ms": 0.1, "retransmits": None, "detail": "",
    }  # fmt: skip
    return Record(**known | facts)


def lost(at: float, port: int = 4000, **facts: Any) -> Record:
    known = {"connected": None, "sent": None, "done": at + 3.0, "outcome": Outcome.CONNECT_TIMEOUT}
    return request(at, port, **known | facts)


def line(at: float, pod: str = "10.0.0.1", node: str = "m02", **facts: Any) -> Line:
    known: dict[str, Any] = {
        "at": at, "within_s": 0.05, "node": node, "change": "new", "client": CLIENT, "client_port": 4000,
        "pod": pod, "pod_port": 8080,
    }  # fmt: skip
    return Line(**known | facts)


def ways(
    lines: list[Line], *records: Record, spans: tuple[Span, ...] = (), clients: tuple[str, ...] = (CLIENT,)
) -> list[Way]:
    join = Join(lines, spans, clients)
    return [join.way(record) for record in records]


def went(way: Way) -> list[tuple[str, str]]:
    return [(entry.node, entry.pod) for entry in way.entries]


def test_a_request_goes_where_its_port_went_at_that_time() -> None:
    lines = [line(100.02), line(100.03, "10.0.0.2", client_port=4001), line(400.02, "10.0.0.3")]
    first, second, third = ways(lines, request(100.0), request(100.01, 4001), request(400.0))
    assert went(first) == [("m02", "10.0.0.1")]
    assert went(second) == [("m02", "10.0.0.2")]
    assert went(third) == [("m02", "10.0.0.3")]


def test_what_was_read_late_says_how_late_it_may_be() -> None:
    """A process that was not let run for two seconds reads then what was said meanwhile."""
    (way,) = ways([line(102.0, within_s=2.0)], request(100.0))
    assert went(way) == [("m02", "10.0.0.1")]
    (way,) = ways([line(102.0, within_s=0.1)], request(100.0))
    assert way == Way()


def test_a_first_packet_that_is_sent_again_may_be_received_by_another_node() -> None:
    (way,) = ways([line(100.02), line(101.05, "10.0.0.2", "m03")], lost(100.0))
    assert went(way) == [("m02", "10.0.0.1"), ("m03", "10.0.0.2")]
    assert way.last is not None
    assert way.last.node == "m03"


def test_an_answer_came_by_the_entry_by_which_its_connection_came_about() -> None:
    """The address moves as it is answered: another node receives what followed, and knows nothing of it."""
    stray = line(100.021, "10.0.0.9", "m03")
    assert went(ways([line(100.02), stray], request(100.0))[0]) == [("m02", "10.0.0.1")]
    given_up = [line(100.02, "10.0.0.9"), line(100.02, "10.0.0.9", change="end"), line(100.02, "10.0.0.2")]
    assert went(ways(given_up, request(100.0))[0]) == [("m02", "10.0.0.2")]
    # Its end was read with what came after it, and may have been as long before.
    read_late = [
        line(100.0045, "10.0.0.9", within_s=0.0589),
        line(100.0824, "10.0.0.9", within_s=0.0779, change="end"),
        line(100.0824, "10.0.0.2", within_s=0.0779),
    ]
    busy = request(100.0, connected=100.0162, sent=100.0162, done=100.0166)
    assert went(ways(read_late, busy)[0]) == [("m02", "10.0.0.2")]
    kept = [request(100.0, kind="reused"), request(101.0, kind="reused", prior=1, connected=None)]
    assert [went(way) for way in ways([line(100.02), stray], *kept)] == [[("m02", "10.0.0.1")]] * 2
    # The first packet was lost with its node, and sent again.
    slow = request(100.0, connected=101.01, sent=101.01, done=101.02)
    again = line(101.02, "10.0.0.9", "m03")
    assert went(ways([line(100.02), again, line(101.3, "10.0.0.8", "m04")], slow)[0]) == [("m03", "10.0.0.9")]


def test_nodes_that_were_read_in_one_round_do_not_say_which_of_them_was_first() -> None:
    """The address moves in the middle of it, and back: the line of the first may stand behind the other's."""
    opened, stray = line(100.0203, "10.0.0.1"), line(100.0201, "10.0.0.9", "m03")
    answered = request(100.0, done=100.21)
    (way,) = ways([stray, opened], answered)
    carriers = [(one.node, one.pod) for one in (*way.entries, *way.rivals)]
    assert sorted(carriers) == [("m02", "10.0.0.1"), ("m03", "10.0.0.9")]
    # In the next round, it is known.
    for later in (line(100.0703, "10.0.0.9", "m03"), line(100.0701, "10.0.0.9", "m03")):
        (way,) = ways([opened, later], answered)
        assert (went(way), way.rivals) == ([("m02", "10.0.0.1")], ())
    # Of a first packet that was sent again, whoever was there later is the likelier.
    slow = request(100.0, connected=101.01, sent=101.01, done=101.02)
    (way,) = ways([line(101.02, "10.0.0.9", "m03"), opened], slow)
    assert went(way) == [("m03", "10.0.0.9")]


def test_what_was_over_before_carried_no_answer() -> None:
    """The line of the entry that did was lost."""
    slow = request(100.0, connected=101.01, sent=101.01, done=101.02)
    assert ways([line(100.02), line(100.6, change="end")], slow) == [Way()]


def test_without_an_entry_of_its_own_it_was_sent_by_an_older_one() -> None:
    (_, way) = ways([line(100.02)], lost(100.0), lost(150.0))
    assert way.entries == ()
    assert way.older is not None
    assert (way.older.pod, way.older.at) == ("10.0.0.1", 100.02)


@pytest.mark.parametrize("at", [103.0, 149.9])
def test_an_entry_that_was_forgotten_sends_nothing(at: float) -> None:
    end = line(at, change="end")
    assert ways([line(100.02), end], lost(100.0), lost(150.0))[1] == Way()


def test_one_that_is_forgotten_only_later_has_sent_it() -> None:
    assert ways([line(100.02), line(152.0, change="end")], lost(100.0), lost(150.0))[1].older is not None


def test_what_another_node_forgot_says_nothing_of_this_one() -> None:
    end = line(120.0, node="m03", change="end")
    assert ways([line(100.02), end], lost(100.0), lost(150.0))[1].older is not None


def test_a_node_that_ended_knows_nothing_any_more() -> None:
    spans = (Span("m02", 90.0, 120.0), Span("m02", 130.0, None))
    assert ways([line(100.02)], lost(100.0), lost(150.0), spans=spans)[1] == Way()
    still = (Span("m02", 90.0, 180.0),)
    assert ways([line(100.02)], lost(100.0), lost(150.0), spans=still)[1].older is not None


def test_a_reused_connection_is_where_it_was_opened() -> None:
    opening = request(100.0, kind="reused")
    later = request(130.0, kind="reused", prior=7, connected=None)
    other = request(131.0, 4001, kind="reused", prior=7, connected=None)
    assert [went(way) for way in ways([line(100.02)], opening, later, other)] == [
        [("m02", "10.0.0.1")], [("m02", "10.0.0.1")], [],
    ]  # fmt: skip


def test_a_reused_connection_that_another_node_receives_is_seen_there_as_well() -> None:
    """The address has moved: the new node makes an entry for what it knows nothing of."""
    opening = request(100.0, kind="reused")
    broken = request(
        130.0, kind="reused", prior=7, connected=None, sent=130.0, done=130.01, outcome=Outcome.RESET
    )
    lines = [line(100.02), line(130.03, "10.0.0.9", "m03")]
    assert went(ways(lines, opening, broken)[1]) == [("m02", "10.0.0.1"), ("m03", "10.0.0.9")]


def test_other_clients_have_the_same_ports() -> None:
    stranger = line(100.01, "10.0.0.7", client="192.168.49.77")
    assert went(ways([line(99.0), line(100.02), stranger], request(100.0))[0]) == [("m02", "10.0.0.1")]


def test_where_addresses_are_translated_on_the_way_the_port_alone_has_to_do() -> None:
    seen = line(100.02, client="10.9.9.9")
    assert went(ways([seen], request(100.0))[0]) == [("m02", "10.0.0.1")]


def test_without_a_port_nothing_is_known() -> None:
    assert ways([line(100.02)], request(100.0, local_port=None)) == [Way()]
