"""Models on the Hugging Face Hub, with a stand-in for its HTTP interface."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT, free_port, run_command
from vision_zoo.artifact import manifest
from vision_zoo.core.errors import HubError, ModelError, UsageError, VisionZooError
from vision_zoo.experiments import hub
from vision_zoo.serving.session import Session

_MODEL = ROOT / "exported" / "small_cnn-mnist.onnx"
_OTHER = ROOT / "exported" / "lenet-fashion_mnist.onnx"
_REPOSITORY = "somebody/digits"


class Hub(ThreadingHTTPServer):
    """The part of the Hub that models need. `repositories` are commits by repository, a commit files by name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def change(self, name: str, content: bytes | None) -> None:
        """A commit with another content of a file, or without it."""
        files = dict(self.repositories[_REPOSITORY][-1])
        files.pop(name, None)
        self.repositories[_REPOSITORY].append(files if content is None else {**files, name: content})


def _oid(number: int) -> str:
    return f"{number:040x}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", self.path)
        found = model or file
        assert found, self.path
        commits = self.server.repositories.get(found[1])
        if commits is None:
            self._answer(404, code="RepoNotFound")
        elif model:
            known = {None: len(commits) - 1, "main": len(commits) - 1, "v1": 0}
            if model[2] in known:
                self._answer(200, {"id": model[1], "sha": _oid(known[model[2]])})
            else:
                self._answer(404, code="RevisionNotFound")
        elif file and file[3] in commits[int(file[2], 16)]:
            self._send(200, commits[int(file[2], 16)][file[3]])
        else:
            self._answer(404, code="EntryNotFound")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != "Bearer right":
            self._answer(401)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories[name] = [{}]
            self._answer(200, {"url": f"{self.server.url}/{name}"})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        else:
            repository = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            commits = self.server.repositories[repository]
            operations = [json.loads(line)["value"] for line in body.splitlines()]
            new = {one["path"]: base64.b64decode(one["content"]) for one in operations if "content" in one}
            commits.append({**commits[-1], **new})
            oid = _oid(len(commits) - 1)
            self._answer(200, {"commitUrl": f"{self.server.url}/{repository}/commit/{oid}", "commitOid": oid})

    def _answer(self, status: int, document: object = None, code: str = "") -> None:
        self._send(status, json.dumps(document or {}).encode(), code)

    def _send(self, status: int, content: bytes, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in whose user is logged in."""
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.setattr(hub, "_SECONDS", 60.0)
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def pushed(standing: Hub) -> Hub:
    hub.push(_MODEL, _REPOSITORY, endpoint=standing.url)
    return standing


def _pull(standing: Hub, folder: Path, address: str = _REPOSITORY, revision: str | None = None) -> hub.Pulled:
    return hub.pull(address, folder, revision=revision, endpoint=standing.url)


def test_what_is_pushed_is_pulled_and_can_be_served(pushed: Hub, tmp_path: Path) -> None:
    files = pushed.repositories[_REPOSITORY][-1]
    assert set(files) == {_MODEL.name, "README.md", "manifest.json"}
    document = json.loads(files["manifest.json"])
    listed = {**document["models"], **document["files"]}
    for name in (_MODEL.name, "README.md"):
        assert listed[name] == {
            "bytes": len(files[name]),
            "sha256": hashlib.sha256(files[name]).hexdigest(),
        }
    card = files["README.md"].decode()
    assert card.startswith("---\n")
    assert "pipeline_tag: image-classification" in card
    assert f"vision-zoo pull {_REPOSITORY}/small_cnn-mnist" in card
    pulled = _pull(pushed, tmp_path)
    assert (pulled.path, pulled.replaced) == (tmp_path / _MODEL.name, False)
    assert pulled.path.read_bytes() == _MODEL.read_bytes()
    assert Session(pulled.path, provider="cpu").verified
    assert _pull(pushed, tmp_path).replaced


def test_a_repository_may_hold_several_models_and_revisions(pushed: Hub, tmp_path: Path) -> None:
    second = hub.push(_OTHER, _REPOSITORY, endpoint=pushed.url)
    assert second.revision == _oid(2)
    assert set(manifest.parse(pushed.repositories[_REPOSITORY][-1]["manifest.json"], "it")) == {
        _MODEL.name,
        _OTHER.name,
    }
    with pytest.raises(HubError, match="it has lenet-fashion_mnist, small_cnn-mnist; name one as"):
        _pull(pushed, tmp_path)
    with pytest.raises(HubError, match="has no model 'vit': it has lenet"):
        _pull(pushed, tmp_path, f"{_REPOSITORY}/vit")
    assert _pull(pushed, tmp_path, f"{_REPOSITORY}/{_OTHER.stem}").path.name == _OTHER.name
    with pytest.raises(ModelError, match=r"has no manifest\.json"):  # the empty first commit
        _pull(pushed, tmp_path, revision="v1")


def _listing(name: str, **entry: object) -> bytes:
    return json.dumps({"schema": 1, "models": {name: entry}}).encode()


@pytest.mark.parametrize(
    ("changed", "content", "said"),
    [
        (_MODEL.name, b"another model", "does not match its SHA-256"),
        (_MODEL.name, bytes(2 * _MODEL.stat().st_size), "more than the [0-9,]+ bytes that were expected"),
        (_MODEL.name, None, "lacks a file that its manifest lists"),
        ("manifest.json", b"[]", "is damaged"),
        ("manifest.json", b" " * (2**20 + 1), "more than the 1,048,576 bytes"),
        ("manifest.json", _listing("../../evil.onnx", bytes=1, sha256="0" * 64), "is no name of a model"),
        ("manifest.json", _listing("/etc/evil.onnx", bytes=1, sha256="0" * 64), "is no name of a model"),
        ("manifest.json", _listing("evil.py", bytes=1, sha256="0" * 64), "is no name of a model"),
        ("manifest.json", _listing("big.onnx", bytes=2**40, sha256="0" * 64), "1,099,511,627,776 bytes"),
        ("manifest.json", _listing("none.onnx", bytes=0, sha256="0" * 64), "has 0 bytes"),
        ("manifest.json", None, r"has no manifest\.json"),
    ],
)
def test_what_is_not_as_listed_is_refused_and_nothing_is_written(
    pushed: Hub, tmp_path: Path, changed: str, content: bytes | None, said: str
) -> None:
    pushed.change(changed, content)
    with pytest.raises(VisionZooError, match=said):
        _pull(pushed, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_each_refusal_says_what_to_do(standing: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match=r"does not exist on http://127\.0\.0\.1:.* check its name, or log in"):
        _pull(standing, tmp_path)
    standing.repositories[_REPOSITORY] = [{}]
    with pytest.raises(HubError, match="no such revision; expected a branch"):
        _pull(standing, tmp_path, revision="v9")
    for address in ("digits", "a/b/c/d", "../digits", "a b/c"):
        with pytest.raises(UsageError, match="is no repository of the Hub; expected OWNER/REPOSITORY"):
            _pull(standing, tmp_path, address)
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(HubError, match=f"{nowhere} cannot be reached .*; check the network"):
        hub.pull(_REPOSITORY, tmp_path, endpoint=nowhere)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(HubError, match="the token is missing or not valid; log in"):
        hub.push(_MODEL, "somebody/new", endpoint=standing.url)


def test_without_a_token_nothing_is_pushed(tmp_path: Path) -> None:
    """In an interpreter of its own, as below: the Hub's library reads the environment when it is imported."""
    environment = {"HF_HOME": str(tmp_path), "HF_TOKEN": ""}
    done = run_command("push", _MODEL, _REPOSITORY, env=environment, cwd=tmp_path)
    assert "there is no token for the Hub; log in with `hf auth login`, or set HF_TOKEN" in done.error


def test_the_command_pulls_into_a_folder(pushed: Hub, tmp_path: Path) -> None:
    arguments = ("pull", _REPOSITORY, "--output-dir", "zoo", "--json")
    done = run_command(*arguments, env={"HF_ENDPOINT": pushed.url}, cwd=tmp_path)
    assert done.json["model"] == "zoo/small_cnn-mnist.onnx"
    assert (tmp_path / done.json["model"]).is_file()
