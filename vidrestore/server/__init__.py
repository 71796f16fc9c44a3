"""Streams around the clock: many at a time, monitored over HTTP, stopped and reloaded by signals."""
