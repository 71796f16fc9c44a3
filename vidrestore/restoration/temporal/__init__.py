"""The same face over time: motion, denoising, stabilising and soft entries."""
