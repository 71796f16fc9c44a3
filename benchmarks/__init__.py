"""Measuring speed and memory: this package against the flow that it replaces, in the same run."""

from vidrestore.process import wait_passively

wait_passively()  # as the command does, so that the measurement shows what users get
