"""Where work runs on Ray: the only package that imports it."""
