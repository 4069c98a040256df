"""Reports as people see them: in headless Chromium, without a network."""

from dataclasses import replace

import pytest

from ssl4rl.report.page import make_report, write_report


@pytest.fixture
def opened(browser):
    """Opens a report, offline; fails for anything that the page logs, asks the network for, or throws."""
    contexts, problems, requests = [], [], []

    def open_page(report, path, scheme="light", width=1200):
        write_report(report, path)
        context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == [] and {request[:5] for request in requests} <= {"file:", "data:"}


def test_replies_are_listed_and_filtered(opened, hostile_graph, write_training, tmp_path):
    page = opened(make_report([write_training(hostile_graph)]), tmp_path / "report.html")
    assert page.title() != "stolen" and page.locator("article").count() == 10
    assert page.locator("article").first.locator("li.reply, .replies li").count() == 4
    assert "stolen" in page.locator("article pre").first.text_content()
    assert page.locator("svg .asked-about").first.is_visible()
    page.select_option("[name=mark]", "flat")
    assert page.locator("article").count() == 3 and "3 of 10 prompts" in page.locator("#count").text_content()
    page.select_option("[name=mark]", "")
    page.select_option("[name=outcome]", "correct")
    page.select_option("[name=kind]", "training")
    assert page.locator("article").count() == 3
    page.fill("[name=text]", "NEITHER")
    assert page.locator("article").count() == 3
    page.fill("[name=text]", "nowhere in it")
    assert page.locator("article").count() == 0


def test_the_keyboard_is_enough(opened, write_training, tmp_path):
    page = opened(make_report([write_training("citations", groups=30)]), tmp_path / "report.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**#replies")
    page.keyboard.press("Tab")
    page.keyboard.type("no")
    assert page.evaluate("document.activeElement.name") == "text" and "prompts" in page.locator("#count").text_content()
    page.fill("[name=text]", "")
    shown = page.locator("article").count()
    page.locator("#more").focus()
    page.keyboard.press("Enter")
    assert page.locator("article").count() > shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_axe_finds_nothing(opened, write_training, write_evaluation, write_attention, tmp_path, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    long = "a" * 120  # a name without a place to break it
    runs = [write_training("citations"), write_evaluation(long, ["yes"] * 8), write_evaluation("b", ["no"] * 8)]
    write_attention(runs[0])
    page = opened(make_report(runs), tmp_path / "report.html", scheme, width)
    for summary in page.locator("main > section > details > summary, figure details > summary").all():
        summary.click()
    # A page's own policy would keep axe out of it; what is tested is the document.
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_of_five_thousand_replies_a_filter_draws_a_page_at_a_time(opened, write_training, tmp_path):
    report = make_report([write_training("citations")])
    group = next(group for group in report.data["groups"] if group["kind"] == "training")
    many = [{**group, "id": f"number {number}"} for number in range(1250)]
    page = opened(replace(report, data={"groups": many, "images": []}), tmp_path / "report.html")
    assert "1250 of 1250 prompts, with 5000 replies" in page.locator("#count").text_content()
    assert page.locator("article").count() == 20
    page.fill("[name=text]", "number 1")
    assert page.locator("article").count() == 20 and "361 of 1250" in page.locator("#count").text_content()
