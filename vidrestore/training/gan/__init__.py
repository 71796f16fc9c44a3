"""GFP-GAN's training: prior, restorer, losses, components, augmentation."""
