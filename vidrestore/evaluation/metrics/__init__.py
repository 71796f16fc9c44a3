"""How good a restored face is, in numbers: fidelity, features, identity and landmarks."""
