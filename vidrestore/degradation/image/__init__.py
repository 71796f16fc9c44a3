"""GFP-GAN's degradation model: blur, resampling, noise and JPEG, batched where the images live."""
