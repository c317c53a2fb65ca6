"""Tests of the report in a real browser: by mouse, by keyboard, on a phone, and without scripts."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pipeline.outbox.report.update import update_report
from pipeline.text import displayable
from tests.outbox.report.browser import find_chromium, launched
from tests.outbox.report.samples import BEGIN, SETTINGS, add_failure, add_result, add_thumbnails, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

HOSTILE = "<script>window.hacked=1<_script> & 'q' \"d\" #1?50%.png"
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")
HEAVY = {**SETTINGS, "objective": {**SETTINGS["objective"], "style_weight": 30.0}}
DONE = [
    ("cat__sea.png", {"best": 3e6}),
    ("cat__fire.png", {"style": "paintings/fire.jpg", "best": 9e6, "warnings": ["the memory ran out"]}),
    ("dog__sea.png", {"content": "photos/dog.jpg", "best": 1e6, "settings": HEAVY}),
    (f"more/{HOSTILE}", {"content": "photos/</script><img src=x onerror=hacked=2>.jpg", "best": 2e6}),
    ("\u2028naïve 画.png", {"best": 5e6, "style": 'paintings/"><b>.jpg'}),
    (NOT_UTF8, {"best": 4e6}),
]


def shown_names(page: Page) -> list[str]:
    return page.locator("#cards .picture").all_text_contents()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from launched()


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an outbox of done, failed and damaged pairs with awkward names, and with its page."""
    root = tmp_path_factory.mktemp("an out#box 100%")
    for number, (name, changes) in enumerate(DONE):
        finished = (BEGIN + timedelta(minutes=number)).isoformat()
        add_thumbnails(root, add_result(root, name, number, finished=finished, **changes))
    add_failure(root, "it's broken__sea")
    add_failure(root, "<b>bold<_b>", reason="<img src=x onerror=window.hacked=3>", pair={"content": "c", "style": "s"})
    write(root / "lost.png", b"no metadata")
    update_report(root)
    return root


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context() as context:
        context.set_default_timeout(5000)
        yield context


@pytest.fixture
def page(context: BrowserContext, outbox: Path) -> Iterator[Page]:
    """Open the page; its console must stay silent, and it may fetch local files only."""
    with context.new_page() as page:
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: messages.extend([request.url] * (not request.url.startswith("file:"))))
        page.on("requestfailed", lambda request: messages.append(f"failed: {request.url}"))
        page.goto((outbox / "index.html").as_uri())
        yield page
        assert messages == []


def test_shows_all_results_with_their_pictures(page: Page) -> None:
    assert page.title().startswith("an out#box 100%")
    assert len(shown_names(page)) == len(DONE)
    assert page.locator("#cards img").count() == 4 * len(
        DONE
    )  # the result, the photograph over it, and both inputs beside it
    page.evaluate(  # decode() raises for an image that cannot be loaded
        """() => Promise.all([...document.querySelectorAll("#cards img")].map((image) => {
            image.loading = "eager";
            return image.decode();
        }))"""
    )
    assert page.locator("#cards svg polyline").count() == 3 * len(DONE)


def test_every_link_leads_to_a_file(page: Page) -> None:
    links = page.evaluate("[...document.querySelectorAll('a:not(.skip)')].map((link) => link.href)")
    assert len(links) == 3 * len(DONE) + 2 + 1
    for link in links:
        parts = urlsplit(link)
        assert Path(os.fsdecode(unquote_to_bytes(parts.path))).is_file(), link
        assert (parts.scheme, parts.query, parts.fragment) == ("file", "", "")


def test_names_are_text_and_never_markup(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("#cards b:not(.differences b), .trouble b, .trouble img").count() == 0
    assert f"more/{HOSTILE}" in shown_names(page)
    assert "caf\N{REPLACEMENT CHARACTER}.png" in shown_names(page)


def test_failures_come_first_with_reason_remedy_and_command(page: Page, outbox: Path) -> None:
    failure = page.locator(".trouble", has_text="it's broken__sea")
    assert "truncated or damaged" in failure.locator(".reason").inner_text()
    assert "Copy it again" in failure.locator(".remedy").inner_text()
    command = failure.locator(".command").inner_text()
    assert command == f"""impasto retry '{outbox}' --only 'it'"'"'s broken__sea'"""
    tops = [page.locator(each).bounding_box() for each in ("#failed", "#damaged", "#gallery")]
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    failure.get_by_role("button").click()
    expect(failure.get_by_role("button")).to_have_text("Copied")


def test_filters_by_style_status_and_text(page: Page) -> None:
    page.get_by_label("Style").select_option("paintings/fire.jpg")
    assert shown_names(page) == ["cat__fire.png"]
    assert page.locator(".trouble:visible").count() == 0
    page.get_by_label("Style").select_option("")
    page.get_by_label("Status").select_option("failed")
    assert (shown_names(page), page.locator(".trouble:visible").count()) == ([], 2)
    expect(page.locator("#count")).to_have_text("2 of 9")
    page.get_by_label("Status").select_option("warned")
    assert shown_names(page) == ["cat__fire.png"]
    page.get_by_label("Status").select_option("damaged")
    assert page.locator(".trouble:visible h3").all_text_contents() == ["lost.png"]
    page.get_by_label("Status").select_option("")
    page.get_by_label("Search").fill("DOG style_weight")
    assert shown_names(page) == ["dog__sea.png"]
    page.get_by_label("Search").fill("no such thing")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#count")).to_have_text("9 in all")


def test_the_choice_outlives_a_reload(page: Page) -> None:
    page.get_by_label("Search").fill("cat__")
    page.get_by_label("Sort by").select_option("lowest")
    page.reload()
    assert shown_names(page) == ["cat__sea.png", "cat__fire.png"]


def test_sorts(page: Page) -> None:
    names = [displayable(name) for name, _ in DONE]
    by_objective = sorted(range(6), key=lambda index: DONE[index][1]["best"])
    expected = {
        "oldest": range(6),
        "newest": range(5, -1, -1),
        "lowest": by_objective,
        "highest": by_objective[::-1],
        "name": sorted(range(6), key=lambda index: names[index]),
    }
    for order, indices in expected.items():
        page.get_by_label("Sort by").select_option(order)
        assert shown_names(page) == [names[index] for index in indices], order


def test_settings_of_its_own_and_warnings_are_on_the_card(page: Page) -> None:
    card = page.locator(".card", has_text="dog__sea.png")
    assert card.locator(".differences").text_content() == "objective.style_weight 30 not 1"
    assert page.locator(".card", has_text="cat__fire.png").locator(".warnings").text_content() == "the memory ran out"
    assert page.locator(".card .warnings").count() == 1


def test_slides_by_keyboard_and_by_mouse(page: Page) -> None:
    card = page.locator(".card", has_text="cat__sea.png").first
    slider = card.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "100 % photograph"
    page.keyboard.press("ArrowLeft")
    clip = "(image) => getComputedStyle(image).clipPath"
    assert card.locator(".before").evaluate(clip) == "inset(0px 1% 0px 0px)"
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    assert int(slider.input_value()) == pytest.approx(25, abs=1)


def test_everything_is_reached_by_tab_and_the_focus_is_visible(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
                const at = document.activeElement;
                const outlines = [at, at.parentElement].map((each) => getComputedStyle(each));
                const visible = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return [at.id || at.type || at.className || at.tagName, outlines.some(visible)];
            }"""
        )
        if seen[0] == "BODY":
            break
        reached.append(seen)
    assert {"query", "style", "status", "sort", "button", "range", "picture"} <= {name for name, _ in reached}
    assert [name for name, visible in reached if not visible] == []


def test_axe_finds_nothing(page: Page) -> None:
    page.add_style_tag(content="* { content-visibility: visible !important }")  # axe measures no contrast otherwise
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(color_scheme="light")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.emulate_media(color_scheme="dark")
    found = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert found.violations_count == 0, found.generate_report()


def test_is_readable_without_scripts(browser: Browser, outbox: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((outbox / "index.html").as_uri())
        text = page.locator("body").inner_text()
    for part in ("6\ndone", "2\nfailed", "1\ndamaged", "1\nwith warnings", "it's broken__sea", "--only", "lost.png"):
        assert part in text.replace("\n\n", "\n") or "\n".join(reversed(part.split("\n"))) in text, part
    assert "Scripts are not allowed here" in text
    assert "Search" not in text


def test_nothing_can_be_fetched(context: BrowserContext, outbox: Path) -> None:
    with context.new_page() as page:
        page.goto((outbox / "index.html").as_uri())
        violated = page.evaluate(
            """() => new Promise((resolve) => {
                document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
                fetch("https://example.org/").catch(() => 0);
            })"""
        )
    assert violated == "connect-src"


def test_cards_are_made_as_one_scrolls(context: BrowserContext, tmp_path: Path) -> None:
    for number in range(90):
        add_result(tmp_path, f"{number:02}.png")
    update_report(tmp_path)
    with context.new_page() as page:
        page.goto((tmp_path / "index.html").as_uri())
        assert page.locator(".card").count() < 90
        assert page.locator("#count").inner_text() == "90 in all"
        assert page.locator(".card .blank").first.inner_text() == "no preview of the photograph"
        assert page.get_by_role("slider").count() == 0
        for _ in range(4):
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            page.wait_for_timeout(60)
        expect(page.locator(".card")).to_have_count(90)
        expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_where_there_is_no_chromium_the_tests_are_skipped_but_in_ci_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    outcomes = {"": pytest.skip.Exception, "1": pytest.fail.Exception}
    for in_ci, expected in outcomes.items():
        monkeypatch.setenv("CI", in_ci)
        with pytest.raises(tuple(outcomes.values()), match="no Chromium") as caught:
            find_chromium()
        assert caught.type is expected
