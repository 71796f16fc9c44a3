"""Metrics of restored faces and videos: fidelity, features, identity, landmarks and steadiness."""
