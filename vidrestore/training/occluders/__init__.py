"""Things in front of faces: sprites drawn, placed and relit."""
