"""The HTTP server: the Open Inference Protocol, image classification, metrics, on FastAPI and uvicorn.

settings      what a server is started with
protocol      the Open Inference Protocol v2: JSON and binary tensors
repository    the models of a folder, loaded again when their files change
admission     how much work is let in at a time, and for how long
app           routes
middleware    request ids, keys, body limits, metrics and logs around every request
run           the process: sockets, signals, slow clients
"""
