"""Tools that keep the repository: run from its root as `python -m scripts.NAME`."""
