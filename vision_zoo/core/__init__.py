"""Shared by all layers: errors, files, progress, tables, results, timing."""
