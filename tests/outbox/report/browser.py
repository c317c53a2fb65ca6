"""The system's Chromium, for tests that need a real browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str:
    """Return the path of Chromium; without it tests are skipped, but fail if CI is set, so that CI never skips them."""
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        missing = "there is no Chromium here: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return chromium


def launched() -> Iterator[Browser]:
    """Run one browser, for a fixture."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-background-networking"])
        yield browser
        browser.close()
