"""Films in and out: decoding, colour, encoding, joining."""
