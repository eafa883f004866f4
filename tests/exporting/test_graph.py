import pytest

from vision_zoo.core.errors import ModelError
from vision_zoo.exporting.graph import summarise_graph


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="nonsense is not an ONNX file"):
        summarise_graph(b"nonsense", name="nonsense")
