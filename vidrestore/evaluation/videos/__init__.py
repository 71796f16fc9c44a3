"""`vidrestore metrics`: how well and how steadily a film's faces were restored, against the film as it should be."""
