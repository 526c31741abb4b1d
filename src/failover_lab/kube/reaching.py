"""The way to a cluster's API server: opened in bounded time, and what bars it told by its name."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import ssl
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

try:
    import kubernetes
    import urllib3
    import yaml
except ImportError:
    kubernetes = None
    MISSING = traceback.format_exc()

# Every module that asks a cluster takes these; plugins/doc_fragments/reaching.py describes them.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "context": {"type": "str", "required": True},
    "kubeconfig": {"type": "path"},
    "provider": {"type": "str", "choices": ["minikube", "existing"], "default": "minikube"},
}
# A kubeconfig may name a program that fetches the credentials, and that waits for whatever it likes.
OPEN_TIMEOUT_S = 30.0
# A server that says "not now" (429, 503) may say as well when to come back, be it hours.
COME_BACK_S = 2
_WIDTH = 200


class UnreachableError(Exception):
    """The way to the API server is barred; the message is a whole sentence with the remedy."""


class StrangerError(ValueError):
    """Something answers, and it is no API server."""


class _OverdueError(BaseException):
    """The time to open a context is up."""


class _Said(logging.Handler):
    """What the client only logs: why a credential plugin gave nothing."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise where it takes longer. Signals are the main thread's: in another one nothing is bounded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def overdue(_signum: int, _frame: FrameType | None) -> None:
        raise _OverdueError

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def client_of(context: str, kubeconfig: str | None) -> Any:  # noqa: ANN401 - the client has no types
    """A client of the package ``kubernetes``; the cluster is not asked yet.

    Raises:
        kubernetes.config.ConfigException: there is no such context or file.
        UnreachableError: the kubeconfig cannot be read, or its credential plugin gives no credentials.
    """
    said = _Said()
    log = logging.getLogger()
    log.addHandler(said)
    try:
        with _within(OPEN_TIMEOUT_S):
            client = kubernetes.config.new_client_from_config(config_file=kubeconfig, context=context)
    except _OverdueError:
        raise UnreachableError(
            f"The credentials for the context {context} did not come within {OPEN_TIMEOUT_S:.0f} s: the "
            f"program that its user names in the kubeconfig waits for something. {_by_hand(context)}"
        ) from None
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        # The package takes a file for whole, and stumbles over whatever is not.
        raise UnreachableError(
            f"The kubeconfig {kubeconfig or 'that kubectl uses'} cannot be read ({_short(error)}): mend it, "
            "or name another with KUBECONFIG."
        ) from error
    finally:
        log.removeHandler(said)
    if said.words:
        raise UnreachableError(
            f"The credential plugin of the context {context} failed ({_short(said.words[-1])}): log in as "
            f"that cluster wants it. {_by_hand(context)}"
        )
    client.rest_client.pool_manager.connection_pool_kw["retries"] = patience()
    return client


def patience() -> Any:  # noqa: ANN401 - the client has no types
    """How often a request is made again, and how long it waits where the server says for how long."""
    retries = urllib3.Retry(3, raise_on_status=False)
    retries.retry_after_max = COME_BACK_S
    return retries


def _short(words: object) -> str:
    """In one line, and no longer than anybody reads."""
    line = " ".join(str(words).split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _by_hand(context: str) -> str:
    return f"`kubectl --context {context} get --raw /version` must work, then this again."


def said_in(body: str | bytes | None) -> str:
    """The API server's own words in the body of its refusal, as the end of a sentence."""
    try:
        message = json.loads(body or "")["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {message}"


def no_context(context: str, provider: str, error: Exception) -> str:
    """What to do where the context cannot be opened."""
    if "File does not exist" in str(error):
        return f"The context {context} names a file that is not there ({_short(error)}): mend the kubeconfig."
    if provider == "existing":
        return (
            f"The kubeconfig does not have the context {context}: lab_profile has to be one of `kubectl "
            f"config get-contexts` ({_short(error)})."
        )
    return (
        f"There is no kubectl context {context}: run `ansible-playbook setup.yml -e "
        f"lab_profile={context}` first."
    )


def refusal(context: str, provider: str, error: Any) -> str:  # noqa: ANN401 - the client has no types
    """What to do about an API server that said no."""
    told = f"{error.status} {error.reason}{said_in(error.body)}"
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
    if error.status in (429, 503):
        return f"The cluster {context} refused: {told}. It is starting, or has too much to do: try it again."
    return f"The cluster {context} refused: {told}."


def silence(context: str, provider: str, error: Exception) -> str:
    """What to do about an API server that did not answer, or whose answer cannot be trusted."""
    # Text that is none has a reason too: a word.
    reason = error if isinstance(error, ValueError) else getattr(error, "reason", None) or error
    host = getattr(getattr(error, "pool", None), "host", "") or "its host"
    if proxy := getattr(getattr(error, "pool", None), "proxy", None):
        return (
            f"The cluster {context} does not answer: a proxy was asked for it, {proxy.host}. Where only this "
            f"machine can reach {host}, add its network to NO_PROXY and no_proxy, then this again."
        )
    if isinstance(reason, ssl.SSLError | urllib3.exceptions.SSLError):
        if "has expired" in str(reason) or "not yet valid" in str(reason):
            now = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
            return (
                f"The certificate of the cluster {context} at {host} is not valid now "
                f"(TLS: {_short(reason)}). This machine's clock says {now}: if that is wrong, set it right. "
                f"{_renewed(context, provider, 'Else: ')}"
            )
        return (
            f"Who answers for the cluster {context} at {host} is not trusted (TLS: {_short(reason)}): its "
            "certificate is not of the authority, for the address or of the time that the kubeconfig says. "
            f"{_renewed(context, provider)}"
        )
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        why = f"the name {host} is not known to this machine's name servers"
    elif isinstance(reason, urllib3.exceptions.TimeoutError) and not isinstance(
        reason, urllib3.exceptions.ConnectTimeoutError
    ):
        why = f"{host} takes the connection and says nothing"
    elif isinstance(reason, urllib3.exceptions.NewConnectionError):
        why = f"no connection to {host}: {_short(getattr(reason, '__cause__', None) or reason)}"
    elif isinstance(reason, urllib3.exceptions.ProtocolError):
        why = f"{host} ends the connection without an answer"
    elif isinstance(reason, ValueError):
        why = f"what answers at {host} is no API server: {_short(reason)}"
    else:
        why = type(reason).__name__
    if provider == "existing":
        return (
            f"The cluster {context} does not answer ({why}). It is not the lab's to start: "
            f"{_by_hand(context)}"
        )
    return (
        f"The cluster {context} does not answer ({why}): run `ansible-playbook setup.yml -e "
        f"lab_profile={context}`, which starts it again, then this again."
    )


def _renewed(context: str, provider: str, begin: str = "") -> str:
    """Where good credentials and certificates come from."""
    if provider == "existing":
        return f"{begin}Get them anew as that cluster wants it: {_by_hand(context)}"
    return (
        f"{begin}Another cluster has the lab's address or its place in the kubeconfig: run `ansible-playbook "
        f"teardown.yml -e lab_profile={context}`, then setup.yml."
    )
