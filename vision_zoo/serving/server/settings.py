"""Settings of the server, checked before anything is opened."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from vision_zoo.core.bounds import require_between, require_choice
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.providers import PROVIDERS
from vision_zoo.serving.server.browsers import BrowserRules, address_of

SHORTEST_KEY = 16


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Limits are per process.

    Args:
        models_dir: folder of exported models; the shipped ones without it.
        host: address to listen on. Anything but loopback needs `api_key`, or `open_to_all`.
        port: 0 takes a free one.
        provider: `auto`, `cpu`, `cuda` or `tensorrt`.
        threads: of each model, within one operator; by default those of its file, else one.
        workers: processes on the port, each with its own models and limits. The page takes one.
        api_key: clients send it as `Authorization: Bearer …` or `X-API-Key`. None asks for none.
        demo: serve the page to draw on, too. It asks for the key.
        collect: folder into which visitors of the page may save pictures; None lets them save none.
        open_to_all: listen beyond this machine without a key, on purpose.
        allow_hosts: names to answer for besides `host` and this machine's; `*` for any.
        cors_origins: whose web pages may send requests and read answers; `*` for any.
        root_path: that a proxy puts before every path.
        max_body_bytes: of a request, before and after decompression.
        max_batch: images of one request, and of those that run together.
        max_delay_ms: that a request waits for others of its model to run with; 0 runs each alone.
        max_pixels: of an image file.
        max_concurrency: requests that run at once.
        max_queue: requests that wait; more are answered 503 with Retry-After.
        max_connections: open at once; then those whose clients keep the server waiting are closed for new ones.
        deadline_seconds: from the arrival of a request until its answer; later ones are answered 504.
        read_seconds: a client may take to send the head of its request, and again its body.
        drain_seconds: that running requests are given when the server is told to stop; it ends at most 4 s later.
        reload_seconds: between looks at the models folder; 0 looks only once.
    """

    models_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    provider: str = "auto"
    threads: int | None = None
    workers: int = 1
    api_key: str | None = field(default=None, repr=False)
    demo: bool = False
    collect: Path | None = None
    open_to_all: bool = False
    allow_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    root_path: str = ""
    max_body_bytes: int = 16 * 2**20
    max_batch: int = 256
    max_delay_ms: float = 0.0
    max_pixels: int = 16_000_000
    max_concurrency: int = field(default_factory=usable_cores)
    max_queue: int = 512
    max_connections: int = 1000
    deadline_seconds: float = 10.0
    read_seconds: float = 10.0
    drain_seconds: float = 20.0
    reload_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range, and for a server that anybody could use by accident."""
        require_choice("provider", self.provider, PROVIDERS)
        for name, (lowest, highest) in _RANGES.items():
            if (value := getattr(self, name)) is not None:
                require_between(name.replace("_", " "), value, lowest, highest)
        if self.workers > 1 and self.demo:
            raise UsageError("the page keeps its visitors in one process; leave --workers or --demo out")
        if self.workers > 1 and sys.platform == "win32":
            raise UsageError("several processes cannot share a port on Windows; leave --workers out")
        self.browser_rules()
        if not _ROOT_PATH.fullmatch(self.root_path):
            raise UsageError(f"the root path {self.root_path!r} is malformed; expected for example /models")
        if self.api_key is not None and len(self.api_key) < SHORTEST_KEY:
            raise UsageError(f"the API key is too short; expected {SHORTEST_KEY} characters or more")
        if self.api_key is None and not self.open_to_all and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines: set an API key (VISION_ZOO_API_KEY), or pass "
                "--open-to-all to allow access without a key"
            )

    def browser_rules(self) -> BrowserRules:
        """Which hosts are answered for, and which pages may ask; UsageError if a name or an origin is none."""
        return BrowserRules(
            host=self.host,
            any_address=not is_loopback(self.host),
            allow_hosts=self.allow_hosts,
            cors_origins=self.cors_origins,
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "threads": (1, 1024),
    "workers": (1, 256),
    "max_body_bytes": (1, 2**31),
    "max_batch": (1, 2**20),
    "max_delay_ms": (0, 1000),
    "max_pixels": (1, 2**31),
    "max_concurrency": (1, 1024),
    "max_queue": (0, 2**20),
    "max_connections": (1, 2**20),
    "deadline_seconds": (0.001, 3600),
    "read_seconds": (0.1, 3600),
    "drain_seconds": (0.1, 3600),
    "reload_seconds": (0, 86400),
}
