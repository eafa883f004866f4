"""Hyper-parameter search: grids, and studies shared by several processes."""
