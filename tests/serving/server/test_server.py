"""Classification, metrics, logs, keys: what the server offers beside the protocol."""

import io
import json
import shutil
import threading
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.conftest import run_command
from tests.serving.server.conftest import MODEL, Server, infer_request, running, until
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.server.settings import ServerSettings, is_loopback

KEY = "a key that is long enough"


def test_an_image_file_is_classified_as_the_body_and_as_a_form(client: httpx.Client, digit_png: Path) -> None:
    content = digit_png.read_bytes()
    as_body = client.post(f"/v1/classify/{MODEL}", content=content, headers={"Content-Type": "image/png"})
    as_form = client.post(f"/v1/classify/{MODEL}", files={"file": ("seven.png", content, "image/png")})
    assert as_body.status_code == 200
    assert as_body.json() == as_form.json()
    assert as_body.json()["label"] == "7"
    assert len(as_body.json()["probabilities"]) == 5


def test_top_limits_the_labels(client: httpx.Client, digit_png: Path) -> None:
    answer = client.post(f"/v1/classify/{MODEL}?top=1", content=digit_png.read_bytes()).json()
    assert [entry["label"] for entry in answer["probabilities"]] == ["7"]


def test_the_models_are_listed_with_their_accuracy(client: httpx.Client) -> None:
    (model,) = client.get("/v1/models").json()
    assert model["name"] == MODEL
    assert 0.9 < model["test_accuracy"] <= 1
    assert model["provider"] == "CPUExecutionProvider"


def test_the_api_page_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "swagger" in page.lower()
    assert "://" not in page.replace("http://www.w3.org", "")
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["example"]["inputs"][0]["name"] == "image"
    assert client.get("/", follow_redirects=True).status_code == 200


def test_metrics_count_requests_images_and_failures(client: httpx.Client) -> None:
    client.post(f"/v2/models/{MODEL}/infer", json=infer_request(3))
    client.get("/v2/models/nothing")
    text = client.get("/metrics").text
    assert f'vision_zoo_model_loaded{{model="{MODEL}",provider="CPUExecutionProvider"}} 1.0' in text
    assert 'route="/v2/models/{model}/infer",status="200"' in text
    assert 'status="404"' in text
    assert f'vision_zoo_images_total{{model="{MODEL}"}}' in text
    assert "vision_zoo_request_seconds_bucket" in text
    assert "vision_zoo_waiting 0.0" in text


def test_a_request_id_is_given_back_and_logged(client: httpx.Client, server: Server) -> None:
    assert client.get("/v2", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    made = client.get("/v2", headers={"X-Request-ID": "with\tblank"}).headers["X-Request-ID"]
    assert len(made) == 32
    until(lambda: "abc-1" in server.log.read_text())  # answers do not wait for it
    (line,) = [json.loads(line) for line in server.log.read_text().splitlines() if "abc-1" in line]
    assert line["status"] == 200
    assert line["path"] == "/v2"
    assert line["milliseconds"] > 0


def test_a_damaged_model_beside_good_ones_is_reported_and_logged(
    client: httpx.Client, server: Server
) -> None:
    answer = client.post("/v2/models/damaged/infer", json=infer_request())
    assert answer.status_code == 503
    assert "cannot be loaded" in answer.json()["error"]
    assert "model refused" in server.log.read_text()
    assert server.is_well()


def test_a_key_is_asked_for_everywhere_but_by_probes(models: Path, tmp_path: Path) -> None:
    with (
        running(models, tmp_path / "log", env={"VISION_ZOO_API_KEY": KEY}) as started,
        httpx.Client(base_url=started.url) as client,
    ):
        assert client.get("/v2/health/ready").status_code == 200
        for path in ("/v2", "/metrics", "/docs", "/v1/models"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/v2", headers={"X-API-Key": f"{KEY}."}).status_code == 401
        assert client.get("/v2", headers={"Authorization": f"Basic {KEY}"}).status_code == 401
        assert client.get("/v2", headers={"X-API-Key": KEY}).status_code == 200
        assert client.get("/v2", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert KEY not in started.log.read_text()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
    ],
)
def test_a_key_is_demanded_beyond_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    if loopback:
        ServerSettings(host=host)
        return
    with pytest.raises(UsageError, match="set an API key"):
        ServerSettings(host=host)
    ServerSettings(host=host, api_key=KEY)
    ServerSettings(host=host, open_to_all=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_batch": 0},
        {"max_queue": -1},
        {"deadline_seconds": 0},
        {"port": 70000},
        {"api_key": "short"},
        {"provider": "tpu"},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ServerSettings(**settings)  # type: ignore[arg-type]


def test_a_port_in_use_is_one_line(server: Server, models: Path, tmp_path: Path) -> None:
    done = run_command("serve", "--port", str(server.port), "--models-dir", models, cwd=tmp_path)
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.error


def test_a_changed_file_is_loaded_and_a_bad_one_keeps_the_old(
    exported_model: Path, digit_png: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(exported_model, folder / "a.onnx")
    with (
        running(folder, tmp_path / "log", "--reload", "0.1") as started,
        httpx.Client(base_url=started.url) as client,
    ):
        _replace(folder / "b.onnx", exported_model.read_bytes())
        until(lambda: client.get("/v2/models/b/ready").status_code == 200)
        _replace(folder / "b.onnx", b"no model")
        until(lambda: "model refused" in started.log.read_text())
        answer = client.post("/v1/classify/b", content=digit_png.read_bytes())
        assert answer.json()["label"] == "7"
        (folder / "a.onnx").unlink()
        until(lambda: client.get("/v2/models/a/ready").status_code == 404)
        shutil.rmtree(folder)
        until(lambda: "cannot be read" in started.log.read_text())
        assert client.post("/v1/classify/b", content=digit_png.read_bytes()).status_code == 200


def test_sigterm_finishes_what_has_begun(models: Path, tmp_path: Path) -> None:
    statuses: list[int] = []

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            statuses.append(client.post(f"/v2/models/{MODEL}/infer", json=infer_request(200)).status_code)

    with running(models, tmp_path / "log", "--max-concurrency", "1") as started:
        threads = [threading.Thread(target=ask, args=(started.url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: _admitted(started) + len(statuses) >= 8)
        assert started.stop() == 0
        for thread in threads:
            thread.join()
    assert statuses == [200] * 8


def _admitted(started: Server) -> float:
    """Requests that run or wait."""
    gauges = ("vision_zoo_running ", "vision_zoo_waiting ")
    lines = httpx.get(f"{started.url}/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(gauges))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def test_an_empty_folder_is_served_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with running(tmp_path / "models", tmp_path / "log") as started:
        assert httpx.get(f"{started.url}/v2/health/live").status_code == 200
        assert httpx.get(f"{started.url}/v2/health/ready").status_code == 503


def test_a_grayscale_16_bit_image_is_used(client: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("I;16", (40, 40), 40_000).save(buffer, format="PNG")
    assert client.post(f"/v1/classify/{MODEL}", content=buffer.getvalue()).status_code in (200, 422)
