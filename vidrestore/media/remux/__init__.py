"""Muxes encoded segments and everything else of the source into one file, without re-encoding."""
