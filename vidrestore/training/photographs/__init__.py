"""From photographs to a folder of aligned faces."""
