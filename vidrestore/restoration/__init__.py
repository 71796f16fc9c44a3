"""Restoring aligned faces and putting them back."""
