"""Training of the network that separates a face from what is in front of it."""
