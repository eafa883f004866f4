"""The least that a server in Python can do: an ASGI application on uvicorn that parses the request and runs the model.

It checks nothing, and has no limits, metrics, ids or deadlines. The same requests as of the Open Inference Protocol are
answered, JSON or binary.

python -m benchmarks.servers.raw_asgi MODEL PORT
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.serving.session import Session

_HEADER = b"inference-header-content-length"


def application(path: Path) -> Callable[..., Awaitable[None]]:
    """The ASGI application around the model of a file."""
    runtime, outputs = Session(path, provider="cpu").runtime(), [OUTPUT_NAMES[1]]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        length = next((int(value) for name, value in scope["headers"] if name == _HEADER), None)
        document = orjson.loads(body[:length])
        tensor = document["inputs"][0]
        data = (
            np.array(tensor["data"], np.uint8) if length is None else np.frombuffer(body[length:], np.uint8)
        )
        (values,) = runtime.run(outputs, {INPUT_NAME: data.reshape(tensor["shape"])})
        described: dict[str, Any] = {"name": outputs[0], "datatype": "FP32", "shape": values.shape}
        if length is None:
            answer = orjson.dumps(
                {"outputs": [{**described, "data": values.ravel()}]}, option=orjson.OPT_SERIALIZE_NUMPY
            )
        else:
            described["parameters"] = {"binary_data_size": values.nbytes}
            answer = orjson.dumps({"outputs": [described]}) + values.tobytes()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def main() -> None:
    uvicorn.run(application(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
