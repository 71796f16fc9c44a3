"""`vidrestore evaluate`: one model against faces whose truth is known, per strength of damage."""
