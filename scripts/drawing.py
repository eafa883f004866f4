"""Drawing on the page's pad as a hand does, stroke by stroke, with a mouse or a finger."""

from collections.abc import Sequence

from playwright.sync_api import Page, expect

Stroke = Sequence[tuple[int, int]]

THREE: tuple[Stroke, ...] = (
    ((80, 60), (140, 40), (190, 70), (180, 110), (130, 130)),
    ((130, 130), (190, 150), (195, 200), (140, 235), (75, 215)),
)
SEVEN: tuple[Stroke, ...] = (((75, 60), (200, 60), (170, 130), (130, 235)),)
_SIDE = 280  # of the pad that the points are given for


def wait_for_pad(page: Page) -> None:
    """Until it can be drawn on."""
    expect(page.locator("#pad canvas")).to_be_visible(timeout=300_000)
    expect(page.locator("#pad").get_by_role("button", name="Clear")).to_be_enabled(timeout=300_000)


def draw(page: Page, strokes: Sequence[Stroke]) -> None:
    """Draw `strokes` with the mouse."""
    for stroke in strokes:
        points = _on_screen(page, stroke)
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def draw_by_touch(page: Page, strokes: Sequence[Stroke]) -> None:
    """Draw `strokes` with a finger."""
    touch = page.context.new_cdp_session(page)
    for stroke in strokes:
        begun, *points = _on_screen(page, stroke)
        _touch(touch, "touchStart", [begun])
        for start, end in zip([begun, *points], points, strict=False):
            for step in range(1, 5):
                between = tuple(a + (b - a) * step / 4 for a, b in zip(start, end, strict=True))
                _touch(touch, "touchMove", [between])
        _touch(touch, "touchEnd", [])
    touch.detach()


def _touch(session: "object", kind: str, points: Sequence[tuple[float, ...]]) -> None:
    session.send(  # type: ignore[attr-defined]
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
    )


def _on_screen(page: Page, stroke: Stroke) -> list[tuple[float, float]]:
    canvas = page.locator("#pad canvas, canvas#pad").last
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"] / _SIDE, box["y"] + y * box["height"] / _SIDE) for x, y in stroke]
