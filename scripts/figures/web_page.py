"""Pages of `export --html` in a browser: size, and the time to the first answer."""

from scripts.figures.sources import Results, read_as
from vision_zoo.core.model_results import WebPageResult
from vision_zoo.core.tables import markdown


def table(results: Results) -> str:
    """A row for each page; a sentence where none was measured."""
    parts = []
    for document in read_as(results, "web_page", WebPageResult):
        rows = [
            {
                "model": ", ".join(f"`{name}`" for name in page.models),
                "MB": f"{page.bytes / 1e6:.1f}",
                "first answer, s": f"{page.median_first_answer_seconds:.2f}",
                "slowest, s": f"{page.largest_first_answer_seconds:.2f}",
                "ms per picture": f"{page.warm_milliseconds:.1f}",
            }
            for page in document.pages
        ]
        how = (
            "The median and the slowest of "
            f"{document.pages[0].repetitions} openings from disk, each in a new process of {document.browser} on "
            f"{document.environment.description}, until the page has answered its first picture; then the median "
            "of one picture, preprocessing and model."
        )
        parts += [markdown(rows), how]
    return "\n\n".join(parts) or "No measurement is kept yet."
