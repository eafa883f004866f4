"""The contract between training and serving: metadata and manifest of an exported file."""
