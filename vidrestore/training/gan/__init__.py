"""What GFP-GAN learns from: prior, restorer, losses, components, augmentation."""
