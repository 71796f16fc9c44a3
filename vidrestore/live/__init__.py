"""Live video: sources that never end and often fail, outputs that keep their clock."""
