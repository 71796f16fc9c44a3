"""Where a restoration runs: this process, or Ray actors."""
