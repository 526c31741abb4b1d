"""The witness of failover-lab: what the users saw, request by request, while a node went away.

Usable by itself, without Ansible: ``python -m failover_lab --help``. Instants are UTC, spans are in
seconds (``_s``) or milliseconds (``_ms``).
"""

__version__ = "0.1.0"
