"""Measuring speed and memory: this package against the flow that it replaces, in the same run."""
