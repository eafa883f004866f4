"""Drawing on the page's pad as a hand does, stroke by stroke."""

from collections.abc import Sequence

from playwright.sync_api import Page

Stroke = Sequence[tuple[int, int]]

THREE: tuple[Stroke, ...] = (
    ((80, 60), (140, 40), (190, 70), (180, 110), (130, 130)),
    ((130, 130), (190, 150), (195, 200), (140, 235), (75, 215)),
)
_SIDE = 280  # of the pad that the points are given for


def wait_for_pad(page: Page) -> None:
    """Until it can be drawn on."""
    page.wait_for_selector("#pad canvas", timeout=60_000)
    page.wait_for_timeout(1000)  # the pad is drawn by a script that says nothing when it is ready


def draw(page: Page, strokes: Sequence[Stroke]) -> None:
    """Draw `strokes` on the pad, whatever its size on the screen."""
    box = page.locator("#pad canvas").last.bounding_box()
    assert box is not None
    for stroke in strokes:
        points = [
            (box["x"] + x * box["width"] / _SIDE, box["y"] + y * box["height"] / _SIDE) for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()
