"""Asks several addresses at once what they answer, within one deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: url_status
short_description: Ask several addresses at once what they answer
version_added: 0.1.0
author:
  - The failover-lab authors
description:
  - Sends one GET to each address, all at the same time, and reads no more than the status.
  - Silence is an answer too, so that a server that is down, that does not exist or that accepts a connection
    and says nothing never makes the task fail, and never makes it last longer than O(timeout_s).
extends_documentation_fragment: failover_lab.lab.shared.reading
options:
  urls:
    description: The addresses.
    type: list
    elements: str
    required: true
  without_proxy:
    description: Those of the addresses that no proxy is asked for, since who will need them has none.
    type: list
    elements: str
    default: []
  timeout_s:
    description: How long all of them together may take to answer, in seconds.
    type: float
    default: 4
"""

EXAMPLES = r"""
- name: Can anything be pulled from here?
  failover_lab.lab.url_status:
    urls:
      - https://registry.example.org/v2/
  register: found
"""

RETURN = r"""
answers:
  description: One for each address, in the same order.
  type: list
  elements: dict
  returned: success
  contains:
    url:
      description: The address.
      type: str
    status:
      description: The HTTP status, or -1 if there was none.
      type: int
    said:
      description: The status, or the reason why there is none, in words.
      type: str
"""


def ask(url: str, timeout_s: float, *, use_proxy: bool) -> dict[str, Any]:
    """Ask one address.

    Args:
        url: The address.
        timeout_s: How long it may be silent, in seconds.
        use_proxy: Whether a proxy of the environment is asked for it.

    Returns:
        The answer as RETURN describes it.
    """
    status, said = -1, ""
    try:
        with open_url(url, timeout=timeout_s, http_agent="failover-lab", use_proxy=use_proxy) as answer:
            status = int(answer.status)
    except HTTPError as error:
        status = error.code
    except TimeoutError:
        said = silent(timeout_s)
    except URLError as error:
        reason = error.reason
        said = silent(timeout_s) if isinstance(reason, TimeoutError) else words(reason)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the reason why there is no answer
        said = words(error)
    return {"url": url, "status": status, "said": said or f"HTTP status {status}"}


def words(reason: object) -> str:
    """What went wrong, without the number that the system has for it."""
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


def silent(timeout_s: float) -> str:
    """The reason of a server that lets its client wait."""
    return f"no answer within {timeout_s:g} s"


def ask_all(urls: Sequence[str], timeout_s: float, without_proxy: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Ask all addresses at the same time.

    Args:
        urls: The addresses.
        timeout_s: How long all of them together may take, in seconds.
        without_proxy: Those that no proxy is asked for.

    Returns:
        One answer for each address, in the same order.
    """
    answers = [{"url": url, "status": -1, "said": silent(timeout_s)} for url in urls]

    def put(place: int, url: str) -> None:
        answers[place] = ask(url, timeout_s, use_proxy=url not in without_proxy)

    # To look up a name, or to hear a server byte by byte, heeds no timeout: such a thread is left behind.
    threads = [threading.Thread(target=put, args=item, daemon=True) for item in enumerate(urls)]
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(answers)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "urls": {"type": "list", "elements": "str", "required": True},
            "without_proxy": {"type": "list", "elements": "str", "default": []},
            "timeout_s": {"type": "float", "default": 4.0},
        },
        supports_check_mode=True,
    )
    answers = ask_all(module.params["urls"], module.params["timeout_s"], module.params["without_proxy"])
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
