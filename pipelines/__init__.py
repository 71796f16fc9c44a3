"""Named, tuned recipes, run with `python -m pipelines.NAME` from a checkout."""
