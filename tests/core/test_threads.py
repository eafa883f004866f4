"""Work by several threads: order, errors, how far it runs ahead, and the filters of warnings."""

import threading
import warnings
from collections.abc import Iterator

import pytest

from vision_zoo.core import threads
from vision_zoo.core.threads import in_order, in_parts, without_warnings


@pytest.fixture(params=[1, 3])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "usable_cores", lambda: request.param)
    return int(request.param)


@pytest.mark.usefixtures("cores")
def test_results_come_in_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def square(number: int) -> int:
        if number == 1:
            first_may_end.set()
        elif number == 0 and threading.current_thread() is not threading.main_thread():
            assert first_may_end.wait(60)
        return number**2

    assert list(in_order(square, range(50))) == [number**2 for number in range(50)]
    assert list(in_order(square, [])) == []


@pytest.mark.usefixtures("cores")
def test_the_caller_does_what_is_short() -> None:
    caller = threading.current_thread()

    def by_caller(number: int) -> tuple[int, bool]:
        return number, threading.current_thread() is caller

    found = list(in_order(by_caller, range(20), is_long=lambda number: number % 3 == 0))
    assert [number for number, _ in found] == list(range(20))
    assert all(is_caller for number, is_caller in found if number % 3)


def test_few_items_are_taken_before_they_are_needed(cores: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(abs, items())
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) <= 11 + 2 * cores
    del results
    assert len(taken) <= 11 + 2 * cores


@pytest.mark.usefixtures("cores")
def test_an_error_comes_in_its_place() -> None:
    results = in_order(lambda number: 6 / number, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_last_part_holds_what_is_left() -> None:
    assert list(in_parts(range(7), 3)) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert list(in_parts([], 3)) == []


def test_filters_of_warnings_are_restored_by_whoever_ends_last() -> None:
    before = list(warnings.filters)
    inside, outside = without_warnings(), without_warnings()
    outside.__enter__()
    inside.__enter__()
    outside.__exit__(None, None, None)
    warnings.warn("nobody sees it", stacklevel=1)
    inside.__exit__(None, None, None)
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning, match="an error again"):
        warnings.warn("an error again", stacklevel=1)
