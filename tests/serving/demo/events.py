"""Asking for the page's events as programs do."""

import json
from pathlib import Path
from typing import Any

import httpx

API = "/demo/gradio_api"


def upload(client: httpx.Client, content: bytes, name: str = "picture.png") -> str:
    """Upload a file; its path on the server."""
    answer = client.post(f"{API}/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    (path,) = answer.json()
    return str(path)


def reference(path: str | Path, **more: Any) -> dict[str, Any]:
    """A reference to a file, as Gradio's clients post it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}


def call(client: httpx.Client, name: str, data: list[Any], **more: Any) -> tuple[str, Any]:
    """Ask for an event and wait for its answer: `complete` or `error`, and what came."""
    asked = client.post(f"{API}/call/{name}", json={"data": data, **more})
    assert asked.status_code == 200, asked.text
    text = client.get(f"{API}/call/{name}/{asked.json()['event_id']}").text
    kind, content = [
        line.partition(": ")[2] for line in text.splitlines() if line.startswith(("event", "data"))
    ][-2:]
    return kind, json.loads(content)
