"""What a recording medium does to a video: film, tape and codecs, drawn once for a clip."""
