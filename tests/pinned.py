"""What versions.yml pins, for tests that go by it."""

from __future__ import annotations

from scripts.versions import home

PINS = home.pins()
VERSIONS = {name: pin.version for name, pin in PINS.items()}
MINIKUBE, KUBERNETES, METALLB = (VERSIONS[name] for name in ("minikube", "kubernetes", "metallb"))
