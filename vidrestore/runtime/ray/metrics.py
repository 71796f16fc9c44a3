"""Gauges of Ray: they show in its dashboard and in what it exports to Prometheus."""

from typing import Any

from ray.util.metrics import Gauge


def ray_gauge(name: str, description: str) -> Any:  # noqa: ANN401  Ray's class carries no types that hold
    """Return a gauge with a method `set`; Ray must be connected."""
    return Gauge(name, description=description)
