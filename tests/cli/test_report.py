"""``ssl4rl report`` and ``ssl4rl log --html``."""

import webbrowser

from ssl4rl.runs import Run


def test_a_report_is_written_into_the_first_run(run, tmp_path):
    first, second = (Run.create(tmp_path / name, {"tasks": []}).path for name in ("first", "second"))
    code, out, _ = run("report", first, second)
    assert code == 0 and out == f"wrote {first / 'report.html'}\n" and (first / "report.html").is_file()
    code, out, _ = run("report", first, "--format", "md", "--output", tmp_path / "about.md")
    assert code == 0 and (tmp_path / "about.md").read_text().startswith("# first\n")


def test_log_opens_the_report(run, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    path = Run.create(tmp_path / "a run", {"tasks": []}).path
    code, out, _ = run("log", path, "--html")
    assert code == 0 and out == f"wrote {path / 'report.html'}\n" and opened == [(path / "report.html").as_uri()]


def test_runs_that_lack_what_a_report_shows_are_refused_in_one_line(refused, tmp_path):
    evaluation = Run.create(tmp_path / "eval", {"benchmark": "node"})
    evaluation.write_json("scores.json", {})
    training = Run.create(tmp_path / "training", {"tasks": []})
    training.write_json("summary.json", {"steps": 1})
    for path in (evaluation.path, training.path):
        assert "was it written by another version?" in refused("report", path)


def test_mistakes(run, refused, tmp_path):
    path = Run.create(tmp_path / "run", {"tasks": []}).path
    assert "is not a run" in refused("report", tmp_path)
    assert "the same run is given twice" in refused("report", path, path)
    assert "is a folder; --output names the file" in refused("report", path, "--output", tmp_path)
    assert "give a file in a folder that exists" in refused("report", path, "--output", tmp_path / "no" / "page.html")
