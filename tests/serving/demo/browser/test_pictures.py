"""What people do with pictures, and with the comparison of models."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.serving.demo.conftest import Demo


def test_an_example_brings_its_dataset_along(page: Page) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    summary, examples = page.locator("#picture-answers .said"), page.locator(".grid-container button")
    expect(page.get_by_label("cifar10", exact=True).first).to_be_checked()
    for place, dataset, label in (
        (0, "cifar10", "ship"),
        (2, "fashion-mnist", "Trouser"),
        (0, "cifar10", "ship"),
    ):
        examples.nth(place).click()
        expect(page.get_by_label(dataset, exact=True).first).to_be_checked()
        expect(summary).to_contain_text(label)


def test_a_broken_upload_is_one_friendly_line(page: Page, demo: Demo, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Drop an image").click()
    for name, content in (
        ("a.png", b"\x89PNG\r\n\x1a\nno"),
        ("b.jpg", b""),
        ("c.png", b"GIF89a"),
        ("d.svg", b"<svg/>"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        page.locator("#picture input[type=file]").first.set_input_files(str(file))
        expect(page.locator("#picture-answers")).to_contain_text("image")
        assert page.locator("#picture-answers p").count() == 1
        expect(page.locator(".toast-body")).to_have_count(0)
        page.get_by_label("Remove Image").click()
        expect(page.locator("#picture-answers")).to_contain_text("Choose or drop")
    assert "Traceback" not in demo.log.read_text()


def test_models_are_compared(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compared svg circle").first).to_be_visible()
    expect(page.locator("#measured")).to_contain_text("Measured on")
    rows = page.locator("#compared tbody tr")
    page.get_by_role("radio", name="cifar10", exact=True).last.check()
    expect(rows.first).to_contain_text("cifar10")
    expect(page.locator("#compared circle")).to_have_count(rows.count())
    expect(rows.filter(has_text="mnist")).to_have_count(0)
