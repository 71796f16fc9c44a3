"""Training: the prior, the damage, the losses and the trainers of GFP-GAN."""
