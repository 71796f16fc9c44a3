"""GFP-GAN: the network, its checkpoints and the zoo of weights."""
