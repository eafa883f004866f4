"""Results of one machine are kept apart from those of another."""

from dataclasses import replace

from vision_zoo.core.environment import Environment, describe, vector_instructions

_CPU = Environment(cpu="Some CPU", cores=2, memory_gib=None, machine="", system="", python="")


def test_processors_of_one_name_with_other_instructions_are_other_machines() -> None:
    assert _CPU.description == "Some CPU, 2 cores"
    narrow, wide = (replace(_CPU, instructions=found) for found in (["avx2"], ["avx2", "avx512f"]))
    assert (narrow.description, narrow.folder_name) == ("Some CPU (avx2), 2 cores", "some-cpu-avx2-2-cores")
    assert (wide.description, wide.folder_name) == ("Some CPU (avx512f), 2 cores", "some-cpu-avx512f-2-cores")
    assert replace(wide, gpu="Some GPU").folder_name == "some-gpu"


def test_this_machine_is_described_with_its_instructions() -> None:
    assert describe().instructions == vector_instructions()
