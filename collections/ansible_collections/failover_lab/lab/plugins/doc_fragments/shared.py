"""Documentation that several modules have in common, by what they have it for."""

from __future__ import annotations


class ModuleDocFragment:
    """Each part is called ``failover_lab.lab.shared.reaching``, say, where a module takes it up."""

    #: Of modules that ask a cluster.
    REACHING = r"""
options:
  context:
    description: The kubectl context of the cluster.
    type: str
    required: true
  kubeconfig:
    description: The kubeconfig that holds O(context). By default the usual one.
    type: path
  provider:
    description:
      - Whose cluster it is, as the setting C(cluster_provider) says. What is told of one that does not answer
        hangs on it, and nothing else. The lab can start its own (V(minikube)), and no other (V(existing)).
    type: str
    choices: [minikube, existing]
    default: minikube
"""

    #: Of those that ask for the site.
    SITE = r"""
options:
  namespace:
    description: Where the Deployment and the Service are.
    type: str
    required: true
  deployment:
    description: The name of the Deployment.
    type: str
    required: true
  service:
    description: The name of the Service.
    type: str
    required: true
"""

    #: Of those that ask for an application.
    APPLICATION = r"""
options:
  namespace:
    description: Where it is.
    type: str
    required: true
  deployment:
    description: The name of a Deployment, beside whose pods no others count. Empty means those of any owner.
    type: str
    default: ""
  service:
    description: The name of its Service, or of several; the pods behind them are the application.
    type: list
    elements: str
    required: true
"""

    #: Of those that are told what the container engine says.
    ENGINE = r"""
options:
  engine:
    description:
      - What the container engine says of the nodes. Each has C(name), C(id), C(state), and may have
        C(incoming), C(outgoing) (whether the network is cut off) and C(kubelet) (systemd's word). Empty where
        it was not asked.
    type: list
    elements: dict
    default: []
"""

    #: Of those that only look.
    READING = r"""
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

    #: Of those that tell what they wait for.
    WAITING = r"""
options:
  run_dir:
    description:
      - The folder of a run that is going on. While the module waits, it is told how many requests
        there were, and how many of them failed. Without one, just for how long it has waited.
    type: path
  waits_for:
    description: What it waits for, in the words of the user. By default its own.
    type: str
  interval_s:
    description: How long between two lines that tell what it waits for, in seconds.
    type: float
    default: 5.0
"""

    #: Of those of them that wait for the cluster.
    WATCHING = r"""
options:
  timeout_s:
    description: How long to wait, in seconds.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode. In check mode it neither waits nor fails.
"""

    #: Of those that run one command and tell how far it is (plugins/action/progress.py).
    TELLING = r"""
options:
  interval_s:
    description: How long at most between two lines, in seconds.
    type: float
    default: 10.0
  relay:
    description:
      - With V(timer), the line says the label, the time, and the estimate where there is one.
      - With V(lines), it is the last line that the command has said.
    type: str
    choices: [timer, lines]
    default: timer
  passes_over:
    description: A regular expression. Lines that have it are not relayed.
    type: str
  run_dir:
    description:
      - The folder of a run that is going on. Each line begins with how many requests there were, and how many
        of them failed.
    type: path
  timeout_s:
    description: How long the command may take, in seconds.
    type: float
  finishes:
    description:
      - Let the command finish where its play is killed, for what could not be put right half done. An
        interruption ends it all the same.
    type: bool
    default: false
"""

    #: Of those that run a module of kubernetes.core in bounded time (plugins/plugin_utils/bounded.py).
    BOUNDED = r"""
options:
  requests_s:
    description: How long all requests together may take, in seconds.
    type: float
    default: 60.0
  provider:
    description: As M(failover_lab.lab.cluster_answers) takes it.
    type: str
    choices: [minikube, existing]
    default: minikube
notes:
  - It takes what the module of this name in C(kubernetes.core) takes, and hands it on. The requests of that
    one know no time-out. Here it is ended after O(requests_s), and what it waits for by itself (C(wait),
    C(wait_timeout)) is added.
  - Where it fails, M(failover_lab.lab.cluster_answers) is asked why; what that finds is the message.
"""
