"""Decoding and preprocessing: from any image file to the input of a model."""
