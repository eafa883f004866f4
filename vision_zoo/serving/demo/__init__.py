"""The web page: draw a digit or drop an image, and see the predictions of all models."""
