"""Training the network that tells a face from what is in front of it."""
