"""How long a page with 5,000 replies takes to filter: ``python -m benchmarks.report``.

It needs Chromium (``make browser``). What is counted is the processor time of the page's thread, from the event to the
end of the layout, so that other work on the machine does not count.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import CDPSession, sync_playwright

from benchmarks.common import figure, report
from ssl4rl.build import task
from ssl4rl.records import Completion
from ssl4rl.report.page import make_report, write_report
from ssl4rl.runs import Run, UsedSource
from tools.install_browser import find_browser

GROUPS, SIZE = 625, 8
TEXTS = ("a", "edge", "edge between nodes [3]", "nowhere", "")

FILTER = """(text) => {
  const field = document.querySelector("[name=text]");
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.offsetHeight;  // the layout is part of it
}"""


def write_run(folder: Path) -> Run:
    """A run of 625 groups of 8 replies on the embedded graph."""
    asked = task("link")
    run = Run.create(folder, {"tasks": [{"name": "link"}]})
    run.write_environment([UsedSource.of(asked)], None, {})
    for index in range(GROUPS):
        example = asked.example(index)
        for number in range(SIZE):
            reply = f"<think>Number {number} of {index}.</think>{example.gold_reply}"
            fields = Completion.fields_of(example, reply, asked.score(reply, example))
            run.append("completions.jsonl", Completion(**fields, step=index + 1, reward=1.0))
    return run


def busy(session: CDPSession) -> float:
    """Seconds of processor time that the page's thread has spent so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = write_run(Path(folder) / "run")
        page_file = Path(folder) / "report.html"
        write_report(make_report([run]), page_file)
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page()
        page.goto(page_file.as_uri())
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        times = []
        for text in TEXTS * 3:
            before = busy(session)
            page.evaluate(FILTER, text)
            times.append(busy(session) - before)
        assert page.locator("#count").text_content() == "625 of 625 prompts, with 5000 replies"
        size = page_file.stat().st_size / 1e6
        report("report", [figure(f"one filter of 5,000 replies on a page of {size:.1f} MB", times, at_most=0.2)])
        browser.close()


if __name__ == "__main__":
    main()
