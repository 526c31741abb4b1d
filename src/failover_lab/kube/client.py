"""Plain requests to a cluster's API: paths and objects as the API server writes them.

The client's own classes for them take a second of processor time to import; most answers take less.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3.exceptions import HTTPError

Object = dict[str, Any]

_REQUEST_TIMEOUT_S = 10.0
_COME_BACK_S = 2
_WIDTH = 200


class RefusedError(Exception):
    """The API server said no, or did not answer.

    Attributes:
        status: of HTTP; 0 where there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        """The status, and the API server's own words."""
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether it may be over in a moment: a silence, or a server that starts or has too much to do."""
        return self.status in {0, 429, 502, 503, 504}


def _usual() -> str | None:
    """The files of KUBECONFIG, without those that kubectl passes over: missing or empty ones."""
    paths = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return os.pathsep.join(p for p in paths if not Path(p).is_file() or Path(p).stat().st_size) or None


def client_of(context: str | None, kubeconfig: Path | None) -> ApiClient:
    """A client of the ``kubernetes`` package; nothing is asked yet.

    Args:
        context: its name; None: the current one.
        kubeconfig: None: as kubectl finds it.

    Raises:
        UserError: there is no such context or file, or the file is damaged.
    """
    import yaml  # noqa: PLC0415
    from kubernetes import config  # noqa: PLC0415  only those commands that need a cluster pay for it
    from urllib3 import Retry  # noqa: PLC0415

    try:
        client: ApiClient = config.new_client_from_config(
            config_file=_usual() if kubeconfig is None else str(kubeconfig), context=context
        )
    except (config.ConfigException, OSError) as error:
        raise UserError(f"no access to the cluster: {error}; check --kubeconfig and --context") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        # The package takes a file for whole, and stumbles over whatever is not.
        why = " ".join(str(error).split())
        raise UserError(
            f"no access to the cluster: the kubeconfig is damaged ({why}); mend it, or give another with "
            "--kubeconfig"
        ) from error
    # A server that says "not now" (429, 503) may say as well when to come back, be it hours.
    retries = Retry(3, raise_on_status=False)
    retries.retry_after_max = _COME_BACK_S
    client.rest_client.pool_manager.connection_pool_kw["retries"] = retries
    return client


class Api:
    """One context of a kubeconfig."""

    def __init__(
        self,
        context: str | None,
        kubeconfig: Path | None,
        *,
        timeout_s: float | tuple[float, float] = _REQUEST_TIMEOUT_S,
        again: bool = True,
    ) -> None:
        """Open the context; nothing is asked yet.

        Args:
            context: its name; None: the current one.
            kubeconfig: None: as kubectl finds it.
            timeout_s: for each request, or for the connection and for the answer.
            again: try again where nothing answers; without, a silence is known after one time-out.

        Raises:
            UserError: there is no such context or file, or the file is damaged.
        """
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415

        client = client_of(context, kubeconfig)
        if not again:
            client.rest_client.pool_manager.connection_pool_kw["retries"] = False
        self._client = DynamicClient(client, discoverer=lambda *_: None)
        self._timeout_s = timeout_s

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        """One request; gives back the object in the answer.

        Args:
            method: ``get``, ``post``, ``patch`` (a merge patch) or ``delete``.
            path: on the API server, from its first ``/``.
            body: the object to send.
            query: as the API spells it, such as ``fieldSelector``.

        Raises:
            RefusedError: the API server said no, or did not answer.
        """
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        kind = "application/merge-patch+json" if method == "patch" else "application/json"
        try:
            answer = self._client.request(
                method,
                path,
                body=body,
                query_params=list(query.items()),
                content_type=kind,
                serialize=False,
                _request_timeout=self._timeout_s,
            )
            # Read here, and it may break off.
            found: Object = json.loads(answer.data)
        except ApiException as error:
            raise RefusedError(int(error.status or 0), _words(error.body) or str(error.reason)) from error
        except HTTPError as error:
            raise RefusedError(0, _silence(error)) from error
        except ValueError as error:
            raise RefusedError(0, "what answers is no API server") from error
        return found


def _silence(error: HTTPError) -> str:
    """That nothing answered; a proxy in between is most likely why."""
    from urllib3.exceptions import MaxRetryError  # noqa: PLC0415

    if isinstance(error, MaxRetryError) and (proxy := getattr(error.pool, "proxy", None)):
        return f"no answer through the proxy {proxy.host}: is {error.pool.host} to be in NO_PROXY?"
    # What it comes down to: a certificate, a name, a connection.
    reason = getattr(error, "reason", None) or error
    words = " ".join(str(reason).split())
    return f"no answer ({type(reason).__name__}: {words[:_WIDTH]})"


def _words(body: str | bytes | None) -> str:
    """What the API server says in the body of a refusal, and which disruption budget it is about."""
    try:
        status = json.loads(body or "")
        said = [str(status["message"])]
    except (ValueError, KeyError, TypeError):
        return ""
    causes = (status.get("details") or {}).get("causes") or []
    said += [str(cause.get("message")) for cause in causes if cause.get("reason") == "DisruptionBudget"]
    return " ".join(said)
