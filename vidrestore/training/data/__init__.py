"""Aligned faces as a training set: selection, order, storage and damage."""
