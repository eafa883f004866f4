"""The same model in LitServe.

python benchmarks/servers/lit.py MODEL PORT
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from vision_zoo.serving.session import Session


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.session = Session(Path(sys.argv[1]), provider="cpu")

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.array(request["data"], dtype=np.uint8).reshape(request["shape"])

    def predict(self, images: Any) -> Any:
        return self.session.predict(images).probabilities

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"probabilities": output.ravel().tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1, track_requests=False)
    server.run(port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
