"""What is asked, and which answer is a good one: of the lab's own site, or of any service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.probe import http1, identity
from failover_lab.run.records import NEW, REUSED, Outcome

if TYPE_CHECKING:
    from failover_lab.arguments import Target
    from failover_lab.probe.tls import Side

# The page by which the lab's own site says who answers.
_WHOAMI = "/whoami"
_OF_WHOAMI = range(200, 201)
_ANY = range(200, 400)


@dataclass(frozen=True)
class Service:
    """What is asked, and what is expected.

    Attributes:
        method: of the requests.
        headers: sent with each, in the place of the probe's own of the same name.
        body: sent with each.
        expect: which statuses are good; None for those from 200 to 399, and for 200 of /whoami.
        text: what the body of a good answer has in it.
        identity: where an answer says who sent it.
        tls: what the probe brings where it is asked by https.
    """

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    expect: tuple[range, ...] | None = None
    text: bytes = b""
    identity: identity.Source = identity.AUTO
    tls: Side | None = None

    def question(self, target: Target) -> Question:
        """What is asked there, ready to be sent."""
        strict = self.identity.kind == "auto" and target.path.partition("?")[0] == _WHOAMI
        expect = self.expect or ((_OF_WHOAMI,) if strict else (_ANY,))
        requests = {
            kind: http1.request(
                target, keep_open=kind == REUSED, method=self.method, headers=self.headers, body=self.body
            )
            for kind in (NEW, REUSED)
        }
        return Question(self, requests, expect, strict)


# A plain GET, to which any good answer is one.
PLAIN = Service()


@dataclass(frozen=True, slots=True)
class Question:
    """A service at an address.

    Attributes:
        requests: the bytes, by the kind of the connection.
        strict: whether a good answer has to say who sent it.
    """

    service: Service
    requests: dict[str, bytes]
    expect: tuple[range, ...]
    strict: bool

    @property
    def in_pieces(self) -> bool:
        """Whether more is sent than one small request."""
        return self.service.tls is not None or self.service.body is not None

    def reader(self) -> http1.Reader:
        """For the next answer."""
        return http1.Reader(method=self.service.method, find=self.service.text)

    def judge(self, answer: http1.Answer) -> tuple[Outcome, str, identity.Identity | None]:
        """What a user would say of this answer, a word on why, and who sent it."""
        # Read once: it is the dearest part of a judgement.
        who = self.service.identity.who(answer)
        if not any(answer.status in good for good in self.expect):
            return Outcome.WRONG_STATUS, "", who
        if not answer.found:
            return Outcome.WRONG_BODY, "no_expected_text", who
        if self.strict and (who is None or not who.in_body):
            return Outcome.WRONG_BODY, "not_whoami", who
        return Outcome.OK, "", who


_RANGE = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?|([1-9])xx")


def statuses(value: str) -> tuple[range, ...]:
    """Read which statuses are good, such as ``200,301-303,4xx``.

    Raises:
        ValueError: they are none.
    """
    found = []
    for part in value.split(","):
        read = _RANGE.fullmatch(part.strip())
        if read is None or (read[2] and int(read[2]) < int(read[1])):
            raise ValueError(f"{value!r} are no statuses; give some such as 200 or 200,301-303 or 2xx")
        low = int(read[3] + "00") if read[3] else int(read[1])
        high = low + 99 if read[3] else int(read[2] or low)
        found.append(range(low, high + 1))
    return tuple(found)
