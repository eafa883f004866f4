"""Tests that need an NVIDIA GPU; they are skipped, and say so, where there is none: `pytest tests/gpu`."""

from pathlib import Path

import pytest
import torch

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))
