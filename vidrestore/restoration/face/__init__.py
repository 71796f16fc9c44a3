"""One face of one frame: chosen, cropped, restored and pasted back."""
