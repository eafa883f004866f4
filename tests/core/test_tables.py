"""Tables for a terminal."""

from vision_zoo.core.tables import render


def test_names_between_colons_stay_as_they_are() -> None:
    text = render([{"model": "folder:two:"}], "table", title="a:two: b")
    assert text.startswith("a:two: b\n")
    assert text.splitlines()[-1].strip() == "folder:two:"
