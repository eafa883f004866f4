"""A hundred thousand damaged pictures of all formats: each is read or refused by one line."""

import random

import pytest

from tests.images.pictures import decoded_or_refused, encoded_pictures, mutated

_EACH = 6_000


@pytest.mark.parametrize("name", encoded_pictures())
def test_damaged_pictures_are_read_or_refused(name: str) -> None:
    content = encoded_pictures()[name]
    chance = random.Random(name)
    read = sum(decoded_or_refused(mutated(content, chance)) is not None for _ in range(_EACH))
    assert 0 < read < _EACH
