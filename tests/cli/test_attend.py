"""``vision attend`` end to end on a tiny LLaVA, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ssl4rl.report.attention import pictures_of
from ssl4rl.runs import Run
from tests.training.qwen_vl import build_llava


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> str:
    return str(build_llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def photo(tmp_path) -> str:
    Image.linear_gradient("L").resize((300, 200)).save(tmp_path / "dog.jpg")
    return str(tmp_path / "dog.jpg")


def test_models_side_by_side(run, llava, photo, tmp_path):
    asked = (
        "vision",
        "attend",
        "--model",
        llava,
        "--model",
        llava,
        "--image",
        photo,
        "--question",
        "Where is the dog?",
    )
    code, out, err = run(*asked, "--word", "dog", "--png", tmp_path / "two.png")
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 3 and lines[0] == lines[1] and "goes to the image" in lines[0]
    drawn = Image.open(tmp_path / "two.png")
    assert drawn.format == "PNG" and drawn.width > 2 * 512
    left, right = (drawn.crop((8 + shift, 40, 520 + shift, 300)).tobytes() for shift in (0, 520))
    assert left == right

    code, out, _ = run(*asked, "--from", "first", "--layer", "1", "--json", "--png", tmp_path / "first.png")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(rows) == 2 and rows[0]["layer"] == 1
    assert [len(row) for row in rows[0]["attention"]] == [2, 2]
    assert 0 < sum(map(sum, rows[0]["attention"])) < 1


def test_a_run_keeps_the_map_for_its_report(run, refused, llava, photo, tmp_path):
    kept = Run.create(tmp_path / "a run", {"tasks": [], "model": {"path": llava}})
    shutil.copytree(llava, kept.path / "model")
    asked = (
        "vision",
        "attend",
        "--run",
        kept.path,
        "--image",
        photo,
        "--question",
        "Where is the dog?",
        "--word",
        "dog",
    )
    code, out, err = run(*asked)
    assert code == 0 and "wrote" in out and "dog-dog-" in out, err
    [drawn] = pictures_of(kept)
    [file] = (kept.path / "attention").glob("dog-dog-*.png")
    assert drawn.data == file.read_bytes()
    assert f"{kept.path}: " in drawn.about and f"{llava}: " in drawn.about
    assert "leave out out.png or --run" in refused(*asked, "--png", "out.png")
    # The same picture with another question, and the same again.
    for question in ("What colour is the dog?", "Where is the dog?"):
        assert run(*asked[:7], question, *asked[8:])[0] == 0
    assert len(list(pictures_of(kept))) == 2


def test_errors_are_one_line(refused, llava, photo, tmp_path):
    def attend(*more: str, image: str = photo, model: str = llava, png: Path = tmp_path / "out.png") -> str:
        return refused(
            *("vision", "attend", "--model", model, "--image", image, "--question", "Where is the dog?"),
            *("--png", str(png), *more),
        )

    assert "'cat' is not in the question" in attend("--word", "cat")
    assert "either --word WORD or --from first" in attend()
    assert "either --word WORD or --from first" in attend("--word", "dog", "--from", "first")
    assert "--layer 9: the model has layers 1 to 2" in attend("--word", "dog", "--layer", "9")
    assert "model 'tiny' reads no images" in attend("--word", "dog", model="tiny")
    assert "No such file" in attend("--word", "dog", image=str(tmp_path / "none.jpg"))
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(Path(photo).read_bytes()[:-500])
    assert "torn.jpg is broken" in attend("--word", "dog", image=str(torn))
    assert not (tmp_path / "out.png").exists()
    assert "cannot be written" in attend("--word", "dog", png=tmp_path / "no" / "out.png")
