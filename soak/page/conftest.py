"""The page's browser, closed after this folder: while it is open, this process has a running event loop."""

from tests.serving.demo.browser.conftest import browser, desktop, page
from tests.serving.demo.conftest import demo, served

__all__ = ["browser", "demo", "desktop", "page", "served"]
