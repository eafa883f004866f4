"""The generated parts of the documents, one file for each kind of result."""
