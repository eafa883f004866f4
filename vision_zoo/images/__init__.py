"""Any image file to a model's input."""
