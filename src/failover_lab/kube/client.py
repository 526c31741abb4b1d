"""Plain requests to a cluster's API, bounded in time: paths and objects as the API server writes them.

The client's own classes for them take a second of processor time to import; most answers take less.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab.kube import errors
from failover_lab.kube.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

    from failover_lab.kube.objects import Object

# Sends ``(method, path, body)`` and gives back the object that came, as ``Api.request`` does.
Request = Callable[[str, str, "Object | None"], "Object"]

REQUEST_TIMEOUT_S = 10.0
# A kubeconfig may name a program that fetches the credentials, and that waits for whatever it likes.
OPEN_TIMEOUT_S = 30.0
# A server that says "not now" (429, 503) may say as well when to come back, be it hours.
COME_BACK_S = 2
# Whoever only listens, as a watch does, learns by these within three seconds that the other end is gone: it
# may have been one of several API servers, and another has its address now.
_ALIVE = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 2))


@dataclass(frozen=True)
class Credentials:
    """How a context knows its API server, and how its user is known there: the files, as curl takes them.

    Attributes:
        ca: whose certificates are trusted; None: the system's.
        certificate: the user's; None: the context has none, and its user is known by other means.
        key: of that certificate.
        insecure: whether any certificate is taken.
    """

    ca: Path | None
    certificate: Path | None
    key: Path | None
    insecure: bool


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


def _usual() -> str | None:
    """The files that kubectl reads; None where there is none."""
    from failover_lab.kube import kubeconfig  # noqa: PLC0415  it needs yaml, as those do that need a cluster

    paths = kubeconfig.named(os.environ.get("KUBECONFIG", ""), str(Path.home()))
    return os.pathsep.join(map(str, kubeconfig.read(paths))) or None


def _alive() -> Iterator[tuple[int, int, int]]:
    """The options of a socket that say so, as far as the system has them."""
    for name, value in _ALIVE:
        level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
        if (option := getattr(socket, name, None)) is not None:
            yield level, option, value


def _opened(context: str | None, kubeconfig: str | None) -> ApiClient:
    """A client of the ``kubernetes`` package, opened in bounded time; nothing is asked yet.

    Raises:
        errors.OpenError: there is no such context or file, the file is damaged, or its credential plugin
            gives no credentials.
    """
    try:
        import yaml  # noqa: PLC0415
        from kubernetes import config  # noqa: PLC0415  only those that need a cluster pay for it
        from urllib3 import Retry  # noqa: PLC0415
        from urllib3.connection import HTTPConnection  # noqa: PLC0415
    except ImportError as error:
        raise errors.missing_package() from error
    said = _Said()
    log = logging.getLogger()
    log.addHandler(said)
    try:
        with _within(OPEN_TIMEOUT_S):
            client = config.new_client_from_config(config_file=kubeconfig or _usual(), context=context)
    except _OverdueError:
        raise errors.overdue(context, OPEN_TIMEOUT_S) from None
    except config.ConfigException as error:
        raise errors.missing_context(error) from error
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.damaged(kubeconfig or "that kubectl uses", error) from error
    finally:
        log.removeHandler(said)
    if said.words:
        raise errors.no_credentials(context, said.words[-1])
    retries = Retry(3, raise_on_status=False)
    retries.retry_after_max = COME_BACK_S
    options = client.rest_client.pool_manager.connection_pool_kw
    options["retries"] = retries
    options["socket_options"] = [*HTTPConnection.default_socket_options, *_alive()]
    return client


class Api:
    """One context of a kubeconfig. Requests may be made from several threads at once.

    Attributes:
        url: of the API server.
    """

    def __init__(
        self,
        context: str | None,
        kubeconfig: Path | str | None,
        *,
        timeout_s: float | tuple[float, float] | None = None,
        again: bool = True,
    ) -> None:
        """Open the context; nothing is asked yet.

        Args:
            context: its name; None: the current one.
            kubeconfig: None: as kubectl finds it.
            timeout_s: for each request, or for the connection and for the answer.
            again: try again where nothing answers; without, a silence is known after one time-out.

        Raises:
            errors.OpenError: it cannot be opened.
        """
        client = _opened(context, None if kubeconfig is None else str(kubeconfig))
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415

        self.url = str(client.configuration.host)
        self._configuration = client.configuration
        self._pools = client.rest_client.pool_manager.connection_pool_kw
        if not again:
            self._pools["retries"] = 0
        self._client = DynamicClient(client, discoverer=lambda *_: None)
        self._timeout_s = timeout_s

    @property
    def credentials(self) -> Credentials:
        """For another program; what the kubeconfig itself holds is in files that go with this process."""
        told = self._configuration

        def path(name: str) -> Path | None:
            return Path(file) if (file := getattr(told, name, None)) else None

        return Credentials(path("ssl_ca_cert"), path("cert_file"), path("key_file"), not told.verify_ssl)

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        """In here nothing is tried again: a silence is known after one time-out and not after four."""
        before = dict(self._pools)
        self._pools["retries"] = 0
        try:
            yield
        finally:
            self._pools.clear()
            self._pools.update(before)

    def open(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        timeout_s: float | tuple[float, float] | None = None,
        **query: str,
    ) -> BaseHTTPResponse:
        """One request; gives back the answer, whose body is not read yet.

        Args:
            method: ``get``, ``post``, ``patch`` (a merge patch) or ``delete``.
            path: on the API server, from its first ``/``.
            body: the object to send.
            timeout_s: as that of the whole client, where this one has its own.
            query: as the API spells it, such as ``fieldSelector``.

        Raises:
            RefusedError: the API server said no, or did not answer.
        """
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            answer: BaseHTTPResponse = self._client.request(
                method,
                path,
                body=body,
                query_params=list(query.items()),
                content_type="application/merge-patch+json" if method == "patch" else "application/json",
                serialize=False,
                _request_timeout=timeout_s or self._timeout_s or REQUEST_TIMEOUT_S,
            )
        except ApiException as error:
            raise errors.refused(int(error.status or 0), str(error.reason), error.body) from error
        except (HTTPError, OSError) as error:
            raise errors.silence(error) from error
        return answer

    def read(self, method: str, path: str, body: Object | None = None, **query: str) -> bytes:
        """The same; gives back the answer's body as it came.

        Raises:
            RefusedError: the API server said no, or did not answer.
        """
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        answer = self.open(method, path, body, timeout_s=None, **query)
        try:
            # Read here, and it may break off.
            return answer.data
        except (HTTPError, OSError) as error:
            raise errors.silence(error) from error

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        """The same; gives back the object in the answer.

        Raises:
            RefusedError: the API server said no, or did not answer.
        """
        try:
            found: Any = json.loads(self.read(method, path, body, **query))
        except ValueError as error:
            raise errors.stranger(error) from error
        if not isinstance(found, dict):
            raise errors.stranger(errors.NO_VERSION if path == "/version" else f"{path} is no object")
        return found


def items(answer: Object) -> list[Object]:
    """What is in a list; a list without anything may be null."""
    found: list[Object] = answer.get("items") or []
    return found


def found(request: Request, path: str) -> Object | None:
    """What is at a path; None where the API server knows no such thing.

    Raises:
        RefusedError: the API server said no, or did not answer.
    """
    try:
        return request("get", path, None)
    except RefusedError as refusal:
        if refusal.status == 404:
            return None
        raise


def delete_pod(request: Request, namespace: str, name: str, uid: str) -> bool:
    """Delete this pod, and no other of its name, with no grace; False where there is none such any more.

    Raises:
        RefusedError: the API server said no, or did not answer.
    """
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    }
    try:
        request("delete", f"/api/v1/namespaces/{namespace}/pods/{name}", body)
    except RefusedError as refusal:
        if refusal.status in {404, 409}:
            return False
        raise
    return True
