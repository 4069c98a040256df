"""What is taken away from an example when a model's replies are tried."""

import pytest

import ssl4rl
from ssl4rl.audit.behaviour import opening_of, reordered, without_images, without_names
from ssl4rl.audit.offers import read_offers


@pytest.mark.parametrize(("task", "level"), [("neighbor", "hard"), ("attribute", "easy"), ("attribute", "hard")])
def test_reordered_options_are_the_same_ones_and_the_same_ones_are_right(task, level):
    for index in range(5):
        example = ssl4rl.task(task, level=level).example(index)
        before, after = read_offers([example, reordered(example)])
        assert after.texts == (*before.texts[1:], before.texts[0])
        right = [
            {text for label, text in zip(o.labels, o.texts, strict=True) if label in o.right} for o in (before, after)
        ]
        assert right[0] == right[1] and before.right != after.right
        assert after.score([label for label in after.labels if label in after.right]) == 1 or after.keys


def test_yes_and_no_have_no_order():
    assert reordered(ssl4rl.task("link").example(0)) is None


def test_a_name_is_the_same_placeholder_wherever_it_stands():
    example = ssl4rl.task("link").example(0)
    head, _, rest = example.text.partition("[1] ")
    text = f"{head}[1] A method by Ada Lovelace. It is due to Ada Lovelace and to Alan. {rest}"
    object.__setattr__(example, "parts", (text,))
    changed = without_names(example).text
    assert "A method by Name1. It is due to Name1 and to Name2." in changed
    assert changed.splitlines()[-1] == text.splitlines()[-1]


def test_images_become_grey_and_keep_their_size():
    example = ssl4rl.task("rotation").example(0)
    blank = without_images(example)
    assert [image.size for image in blank.images] == [image.size for image in example.images]
    assert all(len(image.getcolors()) == 1 for image in blank.images) and blank.text == example.text


def test_a_text_opens_with_its_title_or_its_first_words():
    rest = "we teach a robot how to walk over uneven ground in one day, and it does"
    assert opening_of(f"Learning to walk. {rest}") == ("Learning to walk.", rest)
    assert opening_of(rest) is None
    assert opening_of(f"{rest} {rest}")[0] == " ".join(rest.split()[:12])
