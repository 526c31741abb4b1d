"""The body of every module that asks a cluster: its arguments, and the one sentence with which it may end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.failover_lab.lab.plugins.module_utils.arguments import (
    REACHING,
    WATCHING,
    Arguments,
)

from failover_lab.errors import UserError
from failover_lab.kube.cluster import Cluster
from failover_lab.kube.errors import OpenError, RefusedError, sentence


def run(
    arguments: Arguments,
    work: Callable[[Any, AnsibleModule], dict[str, Any]],
    cluster: Callable[[str, str | None], Cluster] | None = None,
) -> None:
    """Run a module.

    Args:
        arguments: its own, beside those that reach the cluster.
        work: gets the cluster and the module; gives back the result, ``changed`` false unless it says so.
        cluster: opens it; by default as a ``Cluster``.
    """
    module = AnsibleModule(argument_spec={**REACHING, **arguments}, supports_check_mode=True)
    context, provider = module.params["context"], module.params["provider"]
    result: dict[str, Any] = {}
    try:
        result = work((cluster or Cluster)(context, module.params["kubeconfig"]), module)
    except (OpenError, RefusedError) as error:
        module.fail_json(msg=sentence(context, provider, error))
    except UserError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**({"changed": False} | result))


def watch(arguments: Arguments, look: Callable[..., dict[str, Any]]) -> None:
    """Run a module that waits for the cluster.

    Args:
        arguments: its own, beside those that reach the cluster and those of waiting.
        look: gets the cluster and the module's arguments; in check mode it neither waits nor fails.
    """
    run(
        {**arguments, **WATCHING},
        lambda cluster, module: look(cluster, module.params, check_mode=module.check_mode),
    )
