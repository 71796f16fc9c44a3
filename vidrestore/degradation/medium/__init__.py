"""What a recording medium does to a video: photographic film, tape and codecs, drawn once for a clip."""
