"""The HTTP server: the Open Inference Protocol, image classification, metrics, on FastAPI and uvicorn."""
