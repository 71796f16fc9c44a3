"""Aligned faces as a training set: which, in which order, from where, and how damaged."""
