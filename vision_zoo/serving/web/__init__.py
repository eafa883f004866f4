"""A page in one HTML file: models, ONNX Runtime Web and all that the page needs, for a browser without a network."""
