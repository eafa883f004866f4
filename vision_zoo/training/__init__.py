"""The training engine: from a recipe to a run directory; needs torch."""
