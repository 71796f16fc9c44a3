"""Restoration of aligned faces, and blending into the frame."""
