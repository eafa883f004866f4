"""What a server is started with, checked before anything is opened."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from vision_zoo.environment import usable_cores
from vision_zoo.errors import UsageError
from vision_zoo.serving.providers import check_provider_name

SHORTEST_KEY = 16


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Limits are per process.

    Args:
        models_dir: folder of exported models; the shipped ones without it.
        host: address to listen on. Anything but loopback needs `api_key`, or `open_to_all`.
        port: 0 takes a free one.
        provider: `auto`, `cpu`, `cuda` or `tensorrt`.
        threads: of each model, within one operator.
        api_key: clients send it as `Authorization: Bearer …` or `X-API-Key`. None asks for none.
        demo: serve the page to draw on, too. It takes no key: there is no place for one in a browser.
        open_to_all: listen beyond this machine without a key, on purpose.
        max_body_bytes: of a request, before and after decompression.
        max_batch: images of one request.
        max_concurrency: requests that run at once.
        max_queue: requests that wait; more are answered 503 with Retry-After.
        deadline_seconds: from the arrival of a request until its answer; later ones are answered 504.
        read_seconds: a client may take to send its request.
        drain_seconds: that running requests are given when the server is told to stop.
        reload_seconds: between looks at the models folder; 0 looks only once.
    """

    models_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    provider: str = "auto"
    threads: int = 1
    api_key: str | None = field(default=None, repr=False)
    demo: bool = False
    open_to_all: bool = False
    max_body_bytes: int = 16 * 2**20
    max_batch: int = 256
    max_concurrency: int = field(default_factory=usable_cores)
    max_queue: int = 512
    deadline_seconds: float = 10.0
    read_seconds: float = 10.0
    drain_seconds: float = 30.0
    reload_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range, and for a server that anybody could use by accident."""
        check_provider_name(self.provider)
        for name in ("max_body_bytes", "max_batch", "max_concurrency"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"{name.replace('_', ' ')} {getattr(self, name)} is out of range; expected 1 or more"
                )
        for name in ("max_queue", "reload_seconds"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    f"{name.replace('_', ' ')} {getattr(self, name)} is out of range; expected 0 or more"
                )
        for name in ("deadline_seconds", "read_seconds", "drain_seconds"):
            if not 0 < getattr(self, name) <= 3600:
                raise UsageError(
                    f"{name.replace('_', ' ')} {getattr(self, name)} is out of range; expected more than 0, at most 3600"
                )
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port {self.port} is out of range; expected 0 to 65535")
        if self.api_key is not None and len(self.api_key) < SHORTEST_KEY:
            raise UsageError(f"the API key is too short; expected {SHORTEST_KEY} characters or more")
        if self.api_key is not None and self.demo:
            raise UsageError(
                "the page takes no API key; serve it without VISION_ZOO_API_KEY, or without the page"
            )
        if self.api_key is None and not self.open_to_all and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines: set an API key (VISION_ZOO_API_KEY), or say "
                "--open-to-all if anybody may use this server"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
