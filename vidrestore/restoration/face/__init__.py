"""Stages for one face of one frame: selection, cropping, restoration and blending."""
