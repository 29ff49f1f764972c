"""The page in a real browser."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local.builders import alias, end_session, ended, failed, function, identify, start_session, track, turn
from local.conftest import Project

from mindlytics_core import Client, Delivery
from mindlytics_local import LocalService, start

playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
#: Of the minute under load: events a second, seconds, turns of a session.
RATE, SECONDS, TURNS = 2000, 60, 20
HOSTILE = "<img src=x onerror='window.broken=1'><script>window.broken=1</script>\u202e\"'` {{7*7}} =cmd()"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="the page's tests need Debian's chromium in /usr/bin")


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def served() -> Iterator[tuple[LocalService, Project]]:
    with start() as service:
        project = Project(service.url)
        with project.http:
            yield service, project


@pytest.fixture
def page(browser: "playwright.Browser", served: tuple[LocalService, Project]) -> Iterator["playwright.Page"]:
    """The page, open; nothing may go wrong in it, and it may ask nobody else."""
    service, _ = served
    opened = browser.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request", lambda request: request.url.startswith((service.url, "blob:", "data:")) or faults.append(request.url)
    )
    opened.goto(service.url)
    expect(opened.locator("#status")).to_have_text("Live")
    yield opened
    opened.close()
    assert faults == []


def expect(locator: "playwright.Locator") -> "playwright.LocatorAssertions":
    return playwright.expect(locator)


def test_a_conversation_appears_and_grows_without_a_reload(page, served):
    _, project = served
    expect(page.locator("#welcome")).to_be_visible()

    project.take(start_session(id="jjacob"), turn("Where is my order?", "It left this morning."))
    page.get_by_role("link", name="Where is my order?").click()
    expect(page.locator(".bubble.assistant")).to_have_text("It left this morning.")
    project.take(function("find_order", args='{"id": 7}'), turn("Thanks", "Any time."), failed(user="More?"), ended())

    expect(page.locator(".bubble.user")).to_have_count(3)
    expect(page.locator(".bubble.failed")).to_contain_text("TimeoutError")
    expect(page.locator(".call .name")).to_have_text("find_order")
    expect(page.locator("#ending")).to_contain_text("Ended at")


def test_hostile_text_is_shown_and_not_run(page, served):
    _, project = served
    project.take(
        start_session(id=HOSTILE[:100]), turn(HOSTILE, HOSTILE, model=HOSTILE), function(HOSTILE, args=HOSTILE)
    )
    page.locator("#list a").first.click()

    expect(page.locator(".bubble.assistant .text")).to_have_text(HOSTILE)
    page.locator("#raw").click()
    expect(page.locator(".raw .call").first).to_be_visible()
    page.locator("#who a").first.click()
    expect(page.locator("#user-title")).to_be_visible()
    page.goto(page.url.split("#")[0] + "#s=s1")
    expect(page.locator("#session-events")).to_contain_text("Conversation Turn")
    assert page.evaluate("window.broken") is None
    assert page.locator("main img, main script").count() == 0


def test_names_of_models_and_times_in_any_form_break_no_page(page, served):
    _, project = served
    project.take(*(turn(model=name, prompt_tokens=1) for name in ("constructor", "__proto__", "toString-2024-01-01")))
    project.take(turn("Basic form", conversation_id="c2", timestamp="20250101T000000Z"))

    page.get_by_role("link", name="Basic form").click()
    expect(page.locator("#ending")).to_contain_text("Last activity")
    page.get_by_role("link", name="Hello").click()
    expect(page.locator("#totals")).to_contain_text("__proto__")
    expect(page.locator("#totals")).not_to_contain_text("NaN")


def test_the_list_is_searched_and_filtered(page, served):
    _, project = served
    project.take(start_session(id="ann"), turn("refund please"))
    project.take(
        start_session(session_id="s2", id="bob"), failed(session_id="s2", conversation_id="c2", user="weather")
    )
    expect(page.locator("#list a")).to_have_count(2)

    page.get_by_role("searchbox").fill("refu")
    expect(page.locator("#list a")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Event", exact=True).fill("Turn Failed")
    expect(page.locator("#list .title")).to_have_text(["weather"])
    page.get_by_label("Event", exact=True).fill("")
    page.get_by_label("User", exact=True).fill("ann")
    expect(page.locator("#list .title")).to_have_text(["refund please"])
    page.get_by_label("Since", exact=True).fill("2020-01-01T00:00")
    page.get_by_label("Until", exact=True).fill("2020-01-02T00:00")
    expect(page.locator("#list a")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("0 conversations")


def test_charts_show_what_has_happened(page, served):
    _, project = served
    project.take(turn(model="m", prompt_tokens=30, completion_tokens=12, cost=0.5, latency_ms=800))

    expect(page.get_by_role("img", name="Tokens: 42")).to_be_visible()
    expect(page.get_by_role("img", name="Conversations: 1")).to_be_visible()
    page.get_by_label("Stretch of time").select_option("quarter")
    expect(page.get_by_role("img", name="Cost: 0.5")).to_be_visible()
    expect(page.locator("#charts svg")).to_have_count(5)
    page.get_by_text("As a table").click()
    expect(page.get_by_role("cell", name="42", exact=True)).to_be_visible()


def test_a_user_has_a_page_with_traits_ids_and_their_whole_history(page, served):
    _, project = served
    project.take(start_session(device_id="d1"), turn("Anonymous", conversation_id="c0"), end_session())
    project.take(*(turn("As ann", session_id=f"s-{n}", conversation_id=f"c-{n}", user_id="ann") for n in range(70)))
    known = {"session_id": "s3", "device_id": "d1"}
    project.take(start_session(**known), identify(session_id="s3", id="ann", traits={"plan": "pro"}))
    project.take(alias(session_id="s3", id="anna", previous_id="ann"), turn("As anna", session_id="s3"))
    page.get_by_role("link", name="As anna").click()
    page.locator("#who a").first.click()

    expect(page.locator("#user-title")).to_have_text("anna")
    expect(page.locator("#user-facts")).to_contain_text("pro")
    expect(page.locator("#user-facts")).to_contain_text("ml_")
    expect(page.locator("#user-count")).to_have_text("72 conversations")
    expect(page.locator("#user-history a")).to_have_count(60)
    page.locator("#user").get_by_role("button", name="Show older").click()
    expect(page.locator("#user-history a")).to_have_count(72)


def test_a_session_has_a_page_also_without_a_conversation(page, served):
    _, project = served
    project.take(start_session(id="ann", attributes={"from": "mail"}), track("Opened", {"door": "front"}))
    page.get_by_role("link", name="1 session without a conversation").click()
    page.locator("#session-list a").click()

    expect(page.locator("#session-facts")).to_contain_text("mail")
    expect(page.locator("#session-who")).to_contain_text("2 events")
    page.locator("#session-events").get_by_text("Opened", exact=True).click()
    expect(page.locator("#session-events")).to_contain_text("front")
    project.take(turn("Hello"))
    expect(page.locator("#session-conversations a")).to_have_count(1)


def test_data_is_taken_along_and_no_cell_is_a_formula(page, served, tmp_path):
    _, project = served
    project.take(turn("=1+1", '-2, "x"'))
    page.locator("#list a").first.click()
    expect(page.locator(".bubble.user")).to_be_visible()

    def saved(name: str) -> str:
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        download.value.save_as(tmp_path / "saved")
        return (tmp_path / "saved").read_bytes().decode()

    (row,) = csv.DictReader(io.StringIO(saved("Save this conversation as CSV")))
    assert (row["user"], row["assistant"]) == ("'=1+1", '\'-2, "x"')
    assert [json.loads(line) for line in saved("Save the events as JSON Lines").splitlines()] == project.ask("events")
    (row,) = csv.DictReader(io.StringIO(saved("Save these conversations as CSV")))
    assert row["title"] == "'=1+1"


def test_a_refused_event_is_shown_until_it_has_been_read(page, served):
    _, project = served
    for _ in range(2):
        project.send(turn() | {"timestamp": "noon"})

    expect(page.locator("#refused")).to_contain_text("Refused 2 times, the last, session s1: event 0: timestamp")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#refused")).to_be_hidden()


def test_the_keyboard_is_enough(page, served):
    _, project = served
    project.take(turn("first"), turn("second", conversation_id="c2"))
    expect(page.locator("#list a")).to_have_count(2)

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#list a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text(page.locator("#list .title").nth(1).inner_text())


def test_every_field_and_button_has_a_name_and_the_page_its_landmarks(page, served):
    _, project = served
    project.take(turn("Hello"))
    page.locator("#list a").first.click()
    expect(page.locator("#conversation")).to_be_visible()

    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, a')].filter((one) => one.checkVisibility())"
        ".filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    for role in ("navigation", "main", "search"):
        expect(page.get_by_role(role)).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_system_s_colours(page, scheme):
    page.emulate_media(color_scheme=scheme)

    red = page.evaluate("parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 60) == (scheme == "dark")


def test_it_fits_a_phone(page, served):
    _, project = served
    project.take(turn("W" * 400, "x" * 3000), function("f" * 200, args="y" * 900))
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("main")).to_be_hidden()
    page.locator("#list a").first.click()
    expect(page.locator("nav")).to_be_hidden()

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("link", name="← Conversations").first.click()
    expect(page.locator("nav")).to_be_visible()
    page.get_by_role("link", name="Charts").click()
    expect(page.locator("#charts svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.soak
def test_two_thousand_events_a_second_lose_nothing_and_the_page_follows(page, served):
    service, _ = served
    seen: set[str] = set()
    client = Client("any", "soak", service.url, delivery=Delivery(max_events=100_000, max_bytes=256 * 2**20))
    begun, sent = time.monotonic(), 0

    while sent < RATE * SECONDS:
        session = client.create_session(id=f"user-{sent % 100}")
        for number in range(TURNS):
            session.track_conversation_turn(user=f"question {number}", assistant="answer " * 20)
        session.end_session()
        sent += TURNS + 4  # and the starts and ends of the session and its conversation
        if (ahead := begun + sent / RATE - time.monotonic()) > 0:
            page.wait_for_timeout(1000 * ahead)
        if sent % 480 == 0:
            seen.add(page.locator("#count").inner_text())

    # Nothing is lost however busy the machine is; how fast it is, `benchmarks/local.py` tells.
    assert client.close(600)
    stats = client.stats()
    assert (stats.pending, stats.dropped, stats.delivered) == (0, {}, sent)
    stored = Project(service.url, **{"X-App-ID": "soak"})
    with stored.http:
        assert stored.ask("events", "count") == {"count": sent}
        total = stored.ask("conversations", "count")["count"]
    page.wait_for_function(
        "(total) => document.querySelector('#count').innerText.startsWith(total)", arg=f"{total:,}", timeout=120_000
    )
    # It went on showing more all the time, not once at the end.
    assert len(seen) > SECONDS
