"""The training loop: steps, checkpoints, logs, schedules, averaging, processes."""
