"""Measuring quality: metrics of arrays, models against held-out faces, videos against a reference."""
