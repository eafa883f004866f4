"""Experiments: reproduce, search, compare and report; built from both halves."""
