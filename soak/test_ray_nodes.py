"""The server on Ray Serve: two nodes answer, one is killed, the other goes on, a new one joins."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster

from tests.conftest import free_port
from tests.serving.server.conftest import INFER, infer_request
from vision_zoo.serving.ray_app import Options, application

_SECONDS = 240


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and a second node, each with one core for replicas."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            started.add_node(num_cpus=1)
            started.wait_for_nodes()
            ray.init(address=started.address, log_to_driver=False)
            yield started
            serve.shutdown()
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.fixture(scope="module")
def url(cluster: Cluster, exported_model: Path) -> str:
    """The application with a replica on each node."""
    assert len(cluster.list_all_nodes()) == 2
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    options = Options(replicas=2, replicas_per_node=1, models_dir=exported_model.parent, open_to_all=True)
    serve.run(application(options), route_prefix="/")
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _SECONDS
    while (
        _ask(address) is None
    ):  # the proxy learns of a new application a moment after the application is ready
        assert time.monotonic() < deadline
    return address


def _ask(url: str) -> str | None:
    """The node that answered an ordinary request on a connection of its own; None if there was no answer."""
    try:
        answer = httpx.post(f"{url}{INFER}", json=infer_request(), timeout=60)
    except httpx.TransportError:
        return None
    starting = answer.status_code == 404 and "-/routes" in answer.text
    assert starting or answer.status_code in (200, 503), answer.text
    return str(answer.headers["X-Served-By"]).partition("/")[0] if answer.status_code == 200 else None


def _nodes_seen(url: str, expected: int) -> Counter[str | None]:
    """Who answers, until `expected` nodes have."""
    seen: Counter[str | None] = Counter()
    deadline = time.monotonic() + _SECONDS
    while len(seen.keys() - {None}) < expected:
        assert time.monotonic() < deadline, seen
        seen[_ask(url)] += 1
    return seen


def test_a_lost_node_is_survived_and_a_new_one_takes_its_place(cluster: Cluster, url: str) -> None:
    both = _nodes_seen(url, 2)
    assert None not in both
    (second,) = (node for node in cluster.list_all_nodes() if node is not cluster.head_node)
    cluster.remove_node(second, allow_graceful=False)
    _until_one_node_answers(url, last=20)
    cluster.add_node(num_cpus=1)
    assert set(_nodes_seen(url, 2)) - set(both), "the new node answers"


def _until_one_node_answers(url: str, *, last: int) -> None:
    """Until `last` requests in a row have an answer, all by the same node."""
    in_a_row: list[str] = []
    deadline = time.monotonic() + _SECONDS
    while len(in_a_row) < last:
        assert time.monotonic() < deadline, in_a_row
        node = _ask(url)
        if node is None or node not in in_a_row:  # a replica of the lost node may have answered until now
            in_a_row = []
        in_a_row += [node] if node else []
