"""Faces found, followed and turned upright."""
