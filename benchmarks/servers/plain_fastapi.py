"""What people write first: a FastAPI handler with a pydantic body around ONNX Runtime.

python benchmarks/servers/plain_fastapi.py MODEL PORT
"""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI  # noqa: TID253
from pydantic import BaseModel

from vision_zoo.serving.session import Session


class Query(BaseModel):
    shape: list[int]
    data: list[int]


def main() -> None:
    session = Session(Path(sys.argv[1]), provider="cpu")
    app = FastAPI()

    @app.post("/predict")
    def predict(query: Query) -> dict[str, list[float]]:
        images = np.array(query.data, dtype=np.uint8).reshape(query.shape)
        return {"probabilities": session.predict(images).probabilities.ravel().tolist()}

    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()
