"""Videos in and out: decoding, colour, encoding, muxing."""
