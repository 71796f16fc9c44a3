"""Stages for one face over time: motion, denoising, stabilisation and fading."""
