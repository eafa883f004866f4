"""The fixtures of the tests, for what takes too long to be one."""

from tests.conftest import (
    _isolated_cache,
    data_dir,
    digit_png,
    exported_model,
    finished_run,
    mnist_5k,
    web_runtime,
)
from tests.exporting.test_kinds import kinds
from tests.serving.demo.conftest import few_models
from tests.serving.server.conftest import models

__all__ = [
    "_isolated_cache",
    "data_dir",
    "digit_png",
    "exported_model",
    "few_models",
    "finished_run",
    "kinds",
    "mnist_5k",
    "models",
    "web_runtime",
]
