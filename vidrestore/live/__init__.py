"""Live video: streams in that never end and often fail, streams out that keep their clock."""
