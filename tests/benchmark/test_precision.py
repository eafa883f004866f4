"""Training steps in two precisions."""

from benchmarks.training.precision import in_both, measure
from benchmarks.training.workload import Workload, prepare


def test_steps_and_products_of_both_precisions_are_timed_in_turn() -> None:
    prepared = in_both(prepare(Workload("simple_cnn-mnist_5k", 256, 1, 1), None))
    assert {precision: one.recipe.precision for precision, one in prepared.items()} == {
        "fp32": "fp32",
        "bf16": "bf16",
    }
    found = measure(prepared, rounds=2, seconds=0.05)
    for kind in ("step_ms", "matrix_gflops"):
        assert set(found[kind]) == {"fp32", "bf16"}
        assert all(len(times) == 2 and min(times) > 0 for times in found[kind].values())
