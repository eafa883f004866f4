"""Experiments: reproduce, search, compare and report."""
