"""Training: dataset → loader → loop → run directory → export. Knows nothing of serving."""
