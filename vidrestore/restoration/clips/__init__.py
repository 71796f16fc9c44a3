"""The work over time on a tensor device: clips of crops go up once, and finished crops come back."""
