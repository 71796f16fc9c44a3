"""`vidrestore metrics`: how well and how steadily a video's faces were restored, against the reference video."""
