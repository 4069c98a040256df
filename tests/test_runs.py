"""Run folders: lines are appended whole, a torn last one is dropped, and other files appear at once."""

import dataclasses
import errno
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

import ssl4rl
from ssl4rl.answers import Outcome, Score, Scoring
from ssl4rl.environment import environment
from ssl4rl.errors import UserError
from ssl4rl.example import Example, ExampleId
from ssl4rl.records import Completion, HeldoutAnswer, Prediction, is_torn, read_lines
from ssl4rl.runs import Run, UsedSource, default_folder, open_run, predictions_file

EXAMPLE = Example(
    ExampleId("toy", "test", "link", "one-hop", {}, 0, 3, "01234567"),
    ("Linked?", "Say yes or no."),
    Scoring("score_any_of", {"accepted": ["yes"]}),
    gold="yes",
    chance=0.5,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", {"benchmark": "link"})


def prediction(item: str = "a", **fields) -> Prediction:
    common = Prediction.fields_of(EXAMPLE, "<answer>yes</answer>", Score.of(1, "yes"))
    return Prediction(**{**common, "index": 3, "item": item, "class_name": "yes", **fields})


def test_lines(run: Run) -> None:
    run.append("m.jsonl", {"step": 1, "text": "ü\n"}, {"step": 2})
    run.append("m.jsonl", {"step": 3})
    with (run.path / "m.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "re')
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1, 2, 3]
    assert run.cut("m.jsonl", 2) == [{"step": 1, "text": "ü\n"}, {"step": 2}]
    run.append("m.jsonl", {"step": 3})
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1, 2, 3]
    assert list(read_lines(run.path / "none.jsonl")) == []


def test_a_reply_with_half_a_surrogate_pair_can_be_written(run: Run) -> None:
    run.append("m.jsonl", {"step": 1, "reply": "\ud800"})
    assert [line["step"] for line in read_lines(run.path / "m.jsonl")] == [1]
    run.rewrite("m.jsonl", [prediction(reply="\ud800")])
    assert [line["item"] for line in read_lines(run.path / "m.jsonl")] == ["a"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"m\.jsonl line 2: not JSON"):
        list(read_lines(tmp_path / "m.jsonl"))


def test_whole_files_leave_no_temporary_ones(run: Run) -> None:
    run.write_json("summary.json", {"a": "ü"})
    assert (run.path / "summary.json").read_text(encoding="utf-8") == '{\n  "a": "ü"\n}\n'
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "summary.json"]


def test_the_default_folder_is_a_safe_name() -> None:
    name = default_folder("link+neighbor", "my data/../x", datetime(2026, 1, 2, 3, 4, 5))
    assert name == Path("runs/20260102-030405-link+neighbor-my-data----x")


def test_runs_that_begin_within_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        folder = default_folder("node", "toy", datetime(2026, 1, 2, 3, 4, 5))
        folder.mkdir(parents=True)
        names.append(folder.name)
    assert names == ["20260102-030405-node-toy", "20260102-030405-node-toy-2", "20260102-030405-node-toy-3"]


def test_environment_names_versions() -> None:
    found = environment()
    assert {"python", "packages", "cpus", "gpus", "git", "command"} <= set(found)
    assert "torch" in found["packages"]


def test_a_run_is_made_once_and_opened_by_its_config(run: Run, tmp_path: Path) -> None:
    assert open_run(str(run.path)).config == {"benchmark": "link"} and run.is_evaluation and not run.finished
    with pytest.raises(UserError, match="exists already; add --resume"):
        Run.create(run.path, {})
    run.write_json("scores.json", {})
    with pytest.raises(UserError, match=f"{run.path} exists already, and is finished; choose another --output"):
        Run.create(run.path, {})
    with pytest.raises(UserError, match=f"{tmp_path / 'none'} does not exist$"):
        Run.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"is not a run: it has no config\.yaml"):
        Run.open(tmp_path)
    for content in ("model: {", "- a list"):
        (run.path / "config.yaml").write_text(content)
        with pytest.raises(UserError, match=r"config\.yaml"):
            _ = Run.open(run.path).config


def test_a_record_says_the_same_after_it_was_written_and_read(run: Run) -> None:
    written = prediction(tokens=7, truncated=True, choices={"yes": "yes", "no": "no"})
    run.append(predictions_file(), written)
    (read,) = run.predictions()
    assert read == written and read.verdict == Score(1.0, "yes", Outcome.CORRECT) and read.accepted == ["yes"]
    line = json.loads((run.path / "predictions.jsonl").read_text())
    assert line["class"] == "yes" and line["scoring"] == ["score_any_of", {"accepted": ["yes"]}]
    assert line["prompt"] == EXAMPLE.text and "logprobs" not in line and "category" not in line
    common = Completion.fields_of(EXAMPLE, "no idea", Score.unparsed())
    run.append("completions.jsonl", Completion(**common, step=2, reward=0.1))
    (completion,) = run.completions()
    assert (completion.step, completion.reward, completion.parsed) == (2, 0.1, False)
    assert [record.reply for record in run.replies_to(EXAMPLE.id)] == ["no idea", "<answer>yes</answer>"]


def test_predictions_share_their_choices_and_ablations_have_a_file_of_their_own(run: Run) -> None:
    run.append(predictions_file(), prediction())
    run.write_json("choices.json", {"yes": "yes", "no": "no"})
    assert run.predictions()[0].choices == {"yes": "yes", "no": "no"}
    assert run.answered("graph removed") == []
    run.append(predictions_file("graph removed"), prediction("b"))
    assert [record.item for record in run.answered("graph removed")] == ["b"]
    assert [record.item for record in run.predictions("graph removed")] == ["b"]
    assert (run.path / "predictions.graph-removed.jsonl").is_file()
    assert [record.item for record in run.replies_to(EXAMPLE.id)] == ["b", "a"]


def test_a_cut_line_is_dropped_and_known_and_a_broken_one_named(run: Run) -> None:
    file = run.path / "predictions.jsonl"
    run.append(file.name, *(prediction(str(i)) for i in range(3)))
    assert not is_torn(file) and not is_torn(run.path / "none.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert len(run.predictions()) == 2 and is_torn(file)
    file.write_bytes(whole[:20])  # the first line, of which there is no end
    assert is_torn(file)
    file.write_bytes(whole[:-1])  # whole, but for the line's end
    assert len(run.predictions()) == 3 and not is_torn(file)
    file.write_bytes(whole.replace(b'"reply"', b'"rply"', 1))
    with pytest.raises(UserError, match="line 1: reply cannot be read"):
        run.predictions()
    file.write_bytes(b"{torn\n" + whole)
    with pytest.raises(UserError, match="line 1: not JSON"):
        run.predictions()
    file.write_bytes(whole + whole)
    with pytest.raises(UserError, match="line 4: item 0 occurs twice"):
        run.predictions()
    file.write_bytes(b"")
    with pytest.raises(UserError, match="nothing was answered yet"):
        run.predictions()
    file.unlink()
    with pytest.raises(UserError, match=r"has no predictions\.jsonl"):
        run.predictions()
    with pytest.raises(UserError, match=r"has no predictions\.edges-rewired\.jsonl"):
        run.predictions("edges rewired")
    training = Run.create(run.path.parent / "training", {"tasks": []})
    with pytest.raises(UserError, match=f"is a training run; evaluate its model first: {training.path / 'model'}$"):
        training.predictions()


def test_the_environment_has_the_data_the_model_and_the_versions(run: Run) -> None:
    used = UsedSource("graph", "shop/2024", "./shop", "abc")
    run.write_environment([used], "model by content", {"link": 1})
    assert run.used_sources == [used]
    assert run.environment["recipe"] == run.config_hash
    assert (run.environment["model"], run.environment["task_versions"]) == ("model by content", {"link": 1})


def test_the_source_of_a_task_is_what_it_was_loaded_by_and_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\n" + "".join(f"{i},text {i}\n" for i in range(20)))
    (tmp_path / "edges.csv").write_text("source,target\n" + "".join(f"{i},{(i + 1) % 20}\n" for i in range(20)))
    task = ssl4rl.task("link", str(tmp_path), level="easy")
    used = UsedSource.of(task)
    assert (used.kind, used.name, used.dataset) == ("graph", tmp_path.name, str(tmp_path))
    assert used.fingerprint == task.source.fingerprint
    assert {"what": "rows of nodes.csv", "found": 20, "read": 20, "skipped": {}} in used.reading
    made = UsedSource.of(type(task)(dataclasses.replace(task.source, name="made"), level="easy"))
    assert (made.name, made.dataset) == ("made", None)


def test_heldout_answers_are_read_back(run: Run) -> None:
    line = {"step": 5, "index": 0, "id": str(EXAMPLE.id), "items": ["a"], "reply": "no", "answer": "no"}
    run.append("heldout.jsonl", {**line, "score": 0.0, "outcome": "wrong"})
    (answer,) = run.heldout()
    assert isinstance(answer, HeldoutAnswer) and answer.verdict == Score(0.0, "no", Outcome.WRONG)
    run.append("heldout.jsonl", {"step": 6})
    with pytest.raises(UserError, match="line 2: index, id, items, reply, answer, score, outcome cannot be read"):
        run.heldout()


def documented(file: str) -> set[str]:
    """The keys of a file that docs/evaluation.md lists."""
    page = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page[page.index("| key | in | meaning |") :]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return {key for keys, files in rows if file in files for key in re.findall(r"`([\w/]+)`", keys)}


@pytest.mark.parametrize(
    ("file", "record"), [("completions", Completion), ("heldout", HeldoutAnswer), ("predictions", Prediction)]
)
def test_every_key_of_a_record_is_documented(file: str, record: type[BaseModel]) -> None:
    assert documented(file) == {field.alias or name for name, field in record.model_fields.items()}


def test_of_a_line_that_does_not_fit_on_the_disk_nothing_is_left(run: Run, monkeypatch) -> None:
    run.append("m.jsonl", {"step": 1})
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, line):
            return self.file.write(line[:4])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *mode, **more: Full(real(path, *mode, **more)))
        with pytest.raises(OSError, match="No space left") as raised:
            run.append("m.jsonl", {"step": 2})
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(run.path / "m.jsonl"))
    run.append("m.jsonl", {"step": 3})
    assert (run.path / "m.jsonl").read_text() == '{"step": 1}\n{"step": 3}\n'


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="exists already"):
        Run.create(tmp_path / "file", {})
    with pytest.raises(UserError, match=r"cannot write to .*; give another --output"):
        Run.create(tmp_path / "file" / "run", {})
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / ".lock").write_text("")
    assert repr(Run.create(tmp_path / "left", {})) == f"Run({str(tmp_path / 'left')!r})"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "line 1: not valid YAML"),
        (b"\xff", "cannot be read"),
        (b"- 1", "holds no settings"),
        (b"", "holds no settings"),
        (b"defaults: [model]", "holds no settings of a run: neither tasks nor a benchmark"),
    ],
)
def test_settings_that_cannot_be_read_are_named(run: Run, content: bytes, message: str) -> None:
    (run.path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message):
        _ = open_run(run.path).config


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        open_run(tmp_path / "none")
    with pytest.raises(UserError, match=r"is not a run: it has no config\.yaml"):
        open_run(tmp_path)


def test_a_run_says_what_it_is_and_whether_it_is_finished(tmp_path: Path) -> None:
    trained = Run.create(tmp_path / "trained", {"tasks": []})
    warm = Run.create(tmp_path / "warm", {"tasks": [], "warmup": {}})
    assert (trained.is_evaluation, trained.is_warmup, warm.is_warmup) == (False, False, True)
    assert (trained.finished, trained.summary, trained.scores, trained.environment) == (False, None, None, {})
    trained.write_json("summary.json", {"steps": 1})
    assert (trained.finished, trained.summary) == (True, {"steps": 1})
    assert trained.used_sources == [] and list(trained.metrics()) == [] and trained.heldout() == []
    (trained.path / "scores.json").write_text("[]")
    assert trained.scores is None
    (trained.path / "scores.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        _ = trained.scores


def test_predictions_that_are_not_there_are_asked_for(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no predictions\.jsonl; nothing was answered yet"):
        run.predictions()
    (run.path / "predictions.jsonl").write_text("")
    with pytest.raises(UserError, match="is empty; nothing was answered yet"):
        run.predictions()
    with pytest.raises(UserError, match="is a training run; evaluate its model first"):
        Run.create(tmp_path / "trained", {"tasks": []}).predictions()


def test_replies_are_found_by_example_and_by_sample(run: Run, tmp_path: Path) -> None:
    run.append("predictions.jsonl", prediction(), prediction(sample=1))
    run.append(predictions_file("no text"), prediction())
    assert (len(run.predictions()), len(run.predictions(every=True)), len(run.replies())) == (1, 2, 2)
    assert len(run.replies_to(EXAMPLE.id)) == 3
    trained = Run.create(tmp_path / "trained", {"tasks": []})
    common = Completion.fields_of(EXAMPLE, "<answer>no</answer>", Score.of(0, "no"))
    trained.append("completions.jsonl", Completion(**common, step=1, reward=0.0))
    assert [record.reply for record in trained.replies()] == ["<answer>no</answer>"]
    assert [record.step for record in trained.replies_to(EXAMPLE.id)] == [1]


def test_a_line_of_another_kind_is_named(run: Run) -> None:
    run.append("predictions.jsonl", {"id": str(EXAMPLE.id)})
    with pytest.raises(UserError, match=r"predictions\.jsonl line 1: .*prompt.* cannot be read; was it written by"):
        run.predictions()


def test_a_source_that_was_loaded_is_recorded_by_its_name() -> None:
    import ssl4rl

    used = UsedSource.of(ssl4rl.task("link"))
    assert (used.kind, used.name) == ("graph", "citations") and used.fingerprint


def test_names_that_are_no_text_can_be_written(run: Run) -> None:
    run.write_json("scores.json", {"name": "caf\udce9"})
    assert run.scores == {"name": "caf?"}
