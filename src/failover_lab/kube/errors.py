"""What bars the way to a cluster's API, told by its cause: the one home of these words."""

from __future__ import annotations

import enum
import http.client
import json
import ssl
import time
from typing import Any

from failover_lab.errors import UserError

NO_VERSION = "it has no version of Kubernetes"
_WIDTH = 200


class Cause(enum.Enum):
    """Why there was no answer, as far as the remedy hangs on it."""

    SILENCE = enum.auto()
    PROXY = enum.auto()
    TLS = enum.auto()


class OpenError(UserError):
    """A context cannot be opened. Commands tell it as it is, ``sentence`` tells it in a play.

    Attributes:
        why: the cause.
        is_missing: there is no such context or file.
        is_damaged: the kubeconfig cannot be read.
    """

    def __init__(self, why: str, remedy: str = "", *, is_missing: bool = False) -> None:
        """The cause, and what to do about it where the command line has a remedy of its own."""
        super().__init__(f"no access to the cluster: {why}{remedy}")
        self.why = why
        self.is_missing = is_missing
        self.is_damaged = bool(remedy) and not is_missing


class RefusedError(Exception):
    """The API server said no, or did not answer.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        reason: that status in HTTP's words.
        cause: why there was no answer.
        why: the same in words.
        host: that was asked.
    """

    def __init__(self, status: int, message: str, *, reason: str = "") -> None:
        """The status, and the API server's own words."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.cause = Cause.SILENCE
        self.why = ""
        self.host = ""

    @property
    def passing(self) -> bool:
        """Whether it may be over in a moment: a silence, or a server that starts or has too much to do."""
        return self.status in {0, 429, 502, 503, 504}

    @property
    def account(self) -> str:
        """The same as a sentence that does not say what was asked."""
        if self.status:
            return f"the API server says {self.status}: {self}"
        return f"the API server does not answer{str(self).removeprefix('no answer')}"


def missing_package() -> OpenError:
    """The client's package is not there."""
    return OpenError("the Python package kubernetes is missing: run `make env`.")


def missing_context(error: Exception) -> OpenError:
    """There is no such context or file."""
    return OpenError(short(error), "; check --kubeconfig and --context", is_missing=True)


def damaged(kubeconfig: str, error: Exception) -> OpenError:
    """The package takes a file for whole, and stumbles over whatever is not."""
    return OpenError(
        f"the kubeconfig is damaged ({kubeconfig}: {short(error)})",
        "; mend it, or give another with --kubeconfig",
    )


def overdue(context: str | None, seconds: float) -> OpenError:
    """A credential plugin waits for something."""
    return OpenError(
        f"the credentials for {_context(context)} did not come within {seconds:.0f} s: the program that its "
        f"user names in the kubeconfig waits for something. {_by_hand(context)}"
    )


def no_credentials(context: str | None, said: str) -> OpenError:
    """A credential plugin gave nothing."""
    return OpenError(
        f"the credential plugin of {_context(context)} failed ({short(said)}): log in as that cluster wants "
        f"it. {_by_hand(context)}"
    )


def refused(status: int, reason: str, body: str | bytes | None) -> RefusedError:
    """The API server said no."""
    return RefusedError(status, words_of(body) or reason, reason=reason)


def stranger(error: object, host: str = "") -> RefusedError:
    """Something answers, and it is no API server."""
    host = host or "its host"
    return _silent(Cause.SILENCE, host, f"what answers at {host} is no API server: {short(error)}")


def silence(error: Exception) -> RefusedError:
    """Nothing answered, or nothing that can be trusted; what it comes down to.

    Args:
        error: of urllib3, or of the system.
    """
    import urllib3.exceptions as u  # noqa: PLC0415  with the client, whose import takes a while

    reason = getattr(error, "reason", None) or error
    pool = getattr(error, "pool", None)
    host = getattr(pool, "host", "") or "its host"
    if proxy := getattr(pool, "proxy", None):
        return _silent(
            Cause.PROXY,
            host,
            f"a proxy was asked for it, {proxy.host}. Where only this machine can reach {host}, add its "
            "network to NO_PROXY and no_proxy, then this again",
        )
    if isinstance(reason, ssl.SSLError | u.SSLError):
        return _silent(Cause.TLS, host, short(reason))
    if isinstance(reason, u.NameResolutionError):
        why = f"the name {host} is not known to this machine's name servers"
    elif isinstance(reason, u.TimeoutError) and not isinstance(reason, u.ConnectTimeoutError):
        why = f"{host} takes the connection and says nothing"
    elif isinstance(reason, u.NewConnectionError):
        why = f"no connection to {host}: {short(getattr(reason, '__cause__', None) or reason)}"
    elif isinstance(reason, u.ProtocolError):
        why = f"{host} ends the connection without an answer{_part_of_one(reason)}"
    else:
        why = type(reason).__name__
    return _silent(Cause.SILENCE, host, why)


def _part_of_one(error: Exception) -> str:
    """That an answer came and broke off, with how much of it came."""
    short_of = next((arg for arg in error.args if isinstance(arg, http.client.IncompleteRead)), None)
    return f" that is whole ({short(repr(short_of))})" if short_of else ""


def _silent(cause: Cause, host: str, why: str) -> RefusedError:
    forms = {Cause.PROXY: ": {}", Cause.TLS: " (TLS: {})", Cause.SILENCE: " ({})"}
    error = RefusedError(0, "no answer" + forms[cause].format(why))
    error.cause, error.host, error.why = cause, host, why
    return error


def words_of(body: str | bytes | None) -> str:
    """What the API server says in the body of a refusal, and which disruption budget it is about."""
    try:
        status = json.loads(body or "")
        said = [str(status["message"])]
    except (ValueError, KeyError, TypeError):
        return ""
    causes: list[dict[str, Any]] = (status.get("details") or {}).get("causes") or []
    said += [str(cause.get("message")) for cause in causes if cause.get("reason") == "DisruptionBudget"]
    return " ".join(said)


def short(words: object) -> str:
    """In one line, and no longer than anybody reads."""
    line = " ".join(str(words).split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def sentence(context: str, provider: str, error: OpenError | RefusedError) -> str:
    """What to do about it, in a play.

    Args:
        context: of the cluster.
        provider: whose cluster it is, as the setting ``cluster_provider`` says.
        error: what came in the way.
    """
    if isinstance(error, OpenError):
        return _no_context(context, provider, error)
    if error.status:
        return _refusal(context, provider, error)
    if error.cause is Cause.PROXY:
        return f"The cluster {context} does not answer: {error.why}."
    if error.cause is Cause.TLS:
        return _untrusted(context, provider, error)
    if provider == "existing":
        return (
            f"The cluster {context} does not answer ({error.why}). It is not the lab's to start: "
            f"{_by_hand(context)}"
        )
    return (
        f"The cluster {context} does not answer ({error.why}): run `ansible-playbook setup.yml -e "
        f"lab_profile={context}`, which starts it again, then this again."
    )


def _untrusted(context: str, provider: str, error: RefusedError) -> str:
    if "has expired" in error.why or "not yet valid" in error.why:
        now = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
        return (
            f"The certificate of the cluster {context} at {error.host} is not valid now "
            f"(TLS: {error.why}). This machine's clock says {now}: if that is wrong, set it right. "
            f"{_renewed(context, provider, 'Else: ')}"
        )
    return (
        f"Who answers for the cluster {context} at {error.host} is not trusted (TLS: {error.why}): its "
        "certificate is not of the authority, for the address or of the time that the kubeconfig says. "
        f"{_renewed(context, provider)}"
    )


def _no_context(context: str, provider: str, error: OpenError) -> str:
    if error.is_damaged:
        return f"{error.why[0].upper()}{error.why[1:]}: mend it, or name another with KUBECONFIG."
    if not error.is_missing:
        return f"{error.why[0].upper()}{error.why[1:]}"
    if "File does not exist" in error.why:
        return f"The context {context} names a file that is not there ({error.why}): mend the kubeconfig."
    if provider == "existing":
        return (
            f"The kubeconfig does not have the context {context}: lab_profile has to be one of `kubectl "
            f"config get-contexts` ({error.why})."
        )
    return (
        f"There is no kubectl context {context}: run `ansible-playbook setup.yml -e "
        f"lab_profile={context}` first."
    )


def _refusal(context: str, provider: str, error: RefusedError) -> str:
    said = "" if str(error) == error.reason else f": {error}"
    told = f"{error.status} {error.reason}{said}"
    if error.status == 401:
        return (
            f"The cluster {context} does not know who asks ({told}): the credentials in the kubeconfig are "
            f"wrong or have expired. {_renewed(context, provider)}"
        )
    if error.status == 403:
        return (
            f"The cluster {context} refused: {told}. The user of the context {context} may not do that: have "
            "its administrator allow it, or use another context."
        )
    if error.status in {429, 503}:
        return f"The cluster {context} refused: {told}. It is starting, or has too much to do: try it again."
    return f"The cluster {context} refused: {told}."


def _renewed(context: str, provider: str, begin: str = "") -> str:
    """Where good credentials and certificates come from."""
    if provider == "existing":
        return f"{begin}Get them anew as that cluster wants it: {_by_hand(context)}"
    return (
        f"{begin}Another cluster has the lab's address or its place in the kubeconfig: run `ansible-playbook "
        f"teardown.yml -e lab_profile={context}`, then setup.yml."
    )


def _context(context: str | None) -> str:
    return f"the context {context}" if context else "the current context"


def _by_hand(context: str | None) -> str:
    chosen = f" --context {context}" if context else ""
    return f"`kubectl{chosen} get --raw /version` must work, then this again."
