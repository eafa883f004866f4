"""The HTTP server: the Open Inference Protocol, image classification, metrics, on FastAPI and uvicorn.

settings      what a server is started with
protocol      the Open Inference Protocol v2: JSON and binary tensors
json_numbers  the numbers of a JSON request, checked before anything is made of them
model_statistics  counts and times of every model
repository    the models of a folder, loaded again when their files change
admission     how much work is let in at a time, and for how long
body          reading a request's body within limits
uploads       the image files in a body
decoding      image files to arrays
decoders      processes for the files that are not small and ordinary
decoder_resources  such a process, seen from the server, and the memory that they share
decoder_process  what runs in them
app           routes
middleware    request ids, keys, metrics and logs around every request
browsers      which hosts are answered for, and what web pages may do
compression   answers in gzip
connection    a client's connection, from its opening to its end
request_reader  reading its requests within limits
connection_limits  limits of all connections, and of the time that one may take
request_head  what a request's head may hold
transport     between the event loop and a connection
logs          the log, which nothing waits for
run           the process: sockets, files, signals
shutdown      ending in time
"""
