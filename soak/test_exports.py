"""Architectures whose export takes long."""

import pytest

from tests.architectures.test_architectures import SLOW_TO_EXPORT, assert_exports


@pytest.mark.parametrize("name", SLOW_TO_EXPORT)
def test_exports_with_a_dynamic_batch_and_layers_that_add_up(name: str) -> None:
    assert_exports(name)
