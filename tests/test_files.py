"""Single files: whole or absent, with a remedy that fits what went wrong."""

from pathlib import Path

import pytest

from ssl4rl.errors import UserError
from ssl4rl.files import wanted, whole


def test_what_was_there_stays_until_the_new_content_is_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole(path) as file:
        file.write_text("half of the ne")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with whole(path) as file:
        file.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="a system without /dev/null")
def test_a_device_is_written_to_and_stays_one():
    with whole(Path("/dev/null")) as file:
        file.write_text("gone")
    assert not Path("/dev/null").is_file()


def test_where_there_is_no_room_what_was_there_stays(tmp_path, no_room):
    path = tmp_path / "page.html"
    path.write_text("old")
    with (
        pytest.raises(UserError, match=r"page\.html cannot be written \(File too large\); make room"),
        no_room(),
        wanted(path) as file,
    ):
        file.write_bytes(b"x" * 20_000)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("no/page.html", "give a file in a folder that exists"),
        ("file/page.html", "give a file in a folder that exists"),
        ("folder", "give a file"),
    ],
)
def test_the_remedy_fits_what_went_wrong(tmp_path, place, remedy):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=rf"cannot be written \(.*\); {remedy}$"), wanted(tmp_path / place) as file:
        file.write_text("")
