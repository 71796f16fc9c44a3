"""Streams around the clock: many at a time, seen from outside, told to stop and to reload."""
