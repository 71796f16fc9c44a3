"""Where and how closely the detector looks at the frames, so that faces of any size and angle are found."""
