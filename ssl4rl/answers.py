"""The one parser of replies, and the scorers that tasks share. Standard library only, so they can be exported.

Only what follows the last ``</think>`` is read, and it must hold exactly one closed ``<answer>``. What stands inside
is normalised (case, spaces, brackets) and compared whole: there is no substring matching anywhere.

``find_choice`` is the one exception: a lenient reading of a choice among options, for evaluation beside the strict
one. No reward is ever computed with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ssl4rl.example import Score

OPTION_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def option_labels(count: int) -> list[str]:
    """Labels of ``count`` options: letters as far as the alphabet goes, else numbers from 1."""
    return list(OPTION_LETTERS[:count]) if count <= len(OPTION_LETTERS) else [str(i + 1) for i in range(count)]


_TAG = re.compile(r"<\s*(/?)\s*answer\s*>", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"<\s*/\s*think\s*>", re.IGNORECASE)
_WRAPPERS = str.maketrans("", "", "()[]{}\"'`*.")
# "The answer is (B)." and "**Answer:** B", to the end of the sentence or line; "the answer is not B" is no answer.
_PHRASE = re.compile(
    r"\banswer\b[*_]*\s*(?::|=|\bis\b|\b(?:should|would|must)\s+be\b)(?!\s+not\b)[\s*_:]*(.+?)(?=[.!?](?:\s|$)|\n|$)",
    re.IGNORECASE,
)
# A token by itself, which no letter, digit, apostrophe or hyphen touches, and which "not" does not deny.
_TOKEN = re.compile(r"(?<![\w'’-])(?<!\bnot )(?<!\bnot \()[^\W_]+(?![\w'’-])")
_MARKED_AFTER = re.compile(r"\s*[)\]}*:\"`]|[.!](?:\s|$)|[ \t]*(?:\n|$)")
_SENTENCE_START = re.compile(r"(?:\n|[.!?:]\s)[\s*_\"'`]*$")
_LOWER_NEXT = re.compile(r"\s+[a-z]")


def extract(reply: str) -> str | None:
    """The text inside the reply's one closed ``<answer>``, stripped; None when there is none, several or a torn one.

    >>> extract("<think>maybe <answer>no</answer></think> <answer> Yes </answer>")
    'Yes'
    """
    said = _END_OF_THOUGHT.split(reply)[-1]
    tags = list(_TAG.finditer(said))
    if [tag.group(1) for tag in tags] != ["", "/"]:
        return None
    return said[tags[0].end() : tags[1].start()].strip()


def normalise(answer: str) -> str:
    """Lower case, no brackets, quotes or full stops, single spaces."""
    return " ".join(answer.translate(_WRAPPERS).lower().split())


def split_items(answer: str) -> list[str]:
    """The items of a list answer, normalised: commas, semicolons and the word "and" separate.

    >>> split_items("[3], 5 and 8")
    ['3', '5', '8']
    """
    return [normalise(item) for item in re.split(r"[,;]|\band\b", answer, flags=re.IGNORECASE)]


def score_any_of(reply: str, accepted: Sequence[str]) -> Score:
    """1 if the whole answer equals one of ``accepted`` after normalisation, else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    return Score.of(float(normalise(answer) in {normalise(choice) for choice in accepted}), answer)


def find_choice(reply: str, choices: Mapping[str, str]) -> str | None:
    """The label of the option that a reply means, read leniently; None where it names none, or more than one.

    ``choices`` maps each label ("B", "12", "yes") to the option's name. The first of these that applies decides:

    1. the last ``<answer>`` after the last ``</think>``, closed or not;
    2. the last phrase like "answer is …" or "Answer: …" that names an option;
    3. the whole reply, if it is a label or a name;
    4. the reply's text.

    In 1 and 2 every label that stands alone is read, in 4 only a marked one: "(B)", "B)", "B.", "B:", ``**B**``, alone
    at the end of a line, or followed by a comma where a sentence begins. Letters must be capitals there, and an "A" or
    "I" before a lower-case word is a word of the sentence. Numbers are not read in 4, where they are nodes or counts.
    Names are read everywhere, as runs of whole words in any case, the longest at each place. What follows the word
    "not" is passed over.

    >>> find_choice("It cites learning theory, so the answer is (B).", {"A": "Neural Networks", "B": "Theory"})
    'B'
    >>> find_choice("A paper on B-trees or theory of networks.", {"A": "Neural Networks", "B": "Case Based"})
    """
    return _only(_found(reply, choices))


def _found(reply: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of all options that a reply names where :func:`find_choice` looks for one."""
    said = _END_OF_THOUGHT.split(reply)[-1]
    tags = list(_TAG.finditer(said))
    opened = [i for i, tag in enumerate(tags) if not tag.group(1)]
    if opened:
        end = tags[opened[-1] + 1].start() if opened[-1] + 1 < len(tags) else len(said)
        return _meant(said[tags[opened[-1]].end() : end], choices)
    said = _TAG.sub(" ", said)
    for phrase in reversed(list(_PHRASE.finditer(said))):
        if meant := _meant(phrase.group(1), choices):
            return meant
    return _whole(said, choices) or _marked(said, choices) | _named(said, choices)


def _only(labels: set[str]) -> str | None:
    return next(iter(labels)) if len(labels) == 1 else None


def _meant(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of all options that a text which is meant as an answer names."""
    return _whole(text, choices) or {label for label, _ in _labels(text, choices)} | _named(text, choices)


def _whole(text: str, choices: Mapping[str, str]) -> set[str]:
    """The label that a text is, or else the labels of the options whose name it is."""
    said = normalise(text)
    labels = {label for label in choices if normalise(label) == said}
    return labels or {label for label, name in choices.items() if said and normalise(name) == said}


def _labels(text: str, choices: Mapping[str, str]) -> Iterator[tuple[str, re.Match[str]]]:
    """The labels that stand alone in a text, with their places."""
    # Letters by their capital (a lower-case "a" is an article), words like "yes" in any case.
    exact = {label: label for label in choices if len(label) == 1}
    words = {label.lower(): label for label in choices if len(label) > 1}
    for token in _TOKEN.finditer(text):
        label = exact.get(token.group()) or words.get(token.group().lower())
        is_word = label in ("A", "I") and _LOWER_NEXT.match(text, token.end())
        if label is not None and not is_word:
            yield label, token


def _marked(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of a running text that are set off as answers."""
    found = set()
    for label, token in _labels(text, choices):
        before = text[max(0, token.start() - 20) : token.start()]
        starts = text.startswith(",", token.end()) and (_SENTENCE_START.search(before) or not token.start())
        if not label.isdigit() and (_MARKED_AFTER.match(text, token.end()) or starts):
            found.add(label)
    return found


def _named(text: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of the options whose names occur in a text; of names that overlap, the first and longest counts."""
    names: dict[tuple[str, ...], set[str]] = {}
    for label, name in choices.items():
        if (run := _name_words(name)) and run != _name_words(label):
            names.setdefault(run, set()).add(label)
    lengths: dict[str, set[int]] = {}
    for run in names:
        lengths.setdefault(run[0], set()).add(len(run))
    said, found, i = _name_words(text), set[str](), 0
    while i < len(said):
        runs = (said[i : i + length] for length in sorted(lengths.get(said[i], ()), reverse=True))
        named = next((run for run in runs if run in names), ())
        if said[i - 1 : i] != ("not",):
            found |= names.get(named, set())
        i += len(named) or 1
    return found


def _name_words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.lower()))


def lenient_score(reply: str, accepted: Sequence[str], choices: Mapping[str, str]) -> Score:
    """1 if the option that :func:`find_choice` reads, or all that a reply names, are among ``accepted``, else 0.

    What the strict :func:`score_any_of` finds correct is correct here too; what it finds wrong because it names no
    option is unparsed here.
    """
    labels = _found(reply, choices)
    if labels and labels <= set(accepted):  # two names of one class are no contradiction
        return Score.of(1.0, next(label for label in accepted if label in labels))
    label = _only(labels)
    return Score.unparsed() if label is None else Score.of(0.0, label)


def score_subset(reply: str, hidden: Sequence[str], candidates: Sequence[str]) -> Score:
    """Jaccard similarity of the answered set with ``hidden``; an item not in ``candidates`` or named twice is wrong."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    items = split_items(answer)
    chosen, gold = set(items), {normalise(item) for item in hidden}
    if len(chosen) < len(items) or not chosen <= {normalise(item) for item in candidates}:
        return Score.of(0.0, answer)
    return Score.of(len(chosen & gold) / len(chosen | gold), answer)


def score_matching(reply: str, gold: Mapping[str, str]) -> Score:
    """Share of the keys of ``gold`` that the answer (``3=B, 5=A``) matches with the right value.

    A key named twice or unknown, or an item that is no pair, makes the answer wrong; a value used for two keys counts
    for neither, so that repeating one letter never pays.
    """
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    pairs = [re.split(r"\s*(?:=|:|->)\s*", item) for item in split_items(answer)]
    if not all(len(pair) == 2 for pair in pairs):
        return Score.of(0.0, answer)
    wanted = {normalise(key): normalise(value) for key, value in gold.items()}
    matched = dict(pairs)
    if len(matched) < len(pairs) or not matched.keys() <= wanted.keys():
        return Score.of(0.0, answer)
    uses = Counter(matched.values())
    right = sum(uses[value] == 1 and wanted[key] == value for key, value in matched.items())
    return Score.of(right / len(wanted), answer)


def words(text: str) -> list[str]:
    """Lower-case word tokens, for F1."""
    return re.findall(r"\w+", text.lower())


def token_f1(answer: str, gold: str, max_words: int) -> float:
    """Bag-of-words F1 of the first ``max_words`` words of each (SQuAD's token F1, Rajpurkar et al. 2016, §6.1)."""
    said, true = Counter(words(answer)[:max_words]), Counter(words(gold)[:max_words])
    shared = sum((said & true).values())
    return 2 * shared / (said.total() + true.total()) if shared else 0.0


def score_text(reply: str, gold: str, baseline: float, max_words: int) -> Score:
    """Token F1 rescaled so that ``baseline`` (what the best constant earns) is 0 and a perfect answer 1."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    # Words past the cap are cut rather than punished: a longer answer can gain nothing by them.
    f1 = token_f1(answer, gold, max_words)
    return Score.of(max(0.0, (f1 - baseline) / (1 - baseline)), answer)


# Answers about pictures: angles, permutations and cells of a grid.

_ANGLE = re.compile(r"\+?(\d{1,4})(?:\.0+)?\s*(?:[°º]|deg(?:ree)?s?)?\s*(?:(?:counter|anti)[- ]?clockwise)?")
_CELL = re.compile(
    r"(?:row\s*[:=]?\s*)?(\d{1,4})(?:\s*[,;]\s*(?:and\s)?\s*|\s+(?:and\s+)?)(?:col(?:umn)?\s*[:=]?\s*)?(\d{1,4})"
)
_BRACKETS = str.maketrans("", "", "()[]{}\"'`*")


def score_angle(reply: str, degrees: int) -> Score:
    """1 if the answer is that number of degrees, with or without the unit ("90", "90.0°", "90 degrees"), else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    found = _ANGLE.fullmatch(answer.translate(_BRACKETS).lower().strip(" ."))
    return Score.of(float(found is not None and int(found[1]) == degrees), answer)


def score_cell(reply: str, cell: Sequence[int]) -> Score:
    """1 if the answer is that row and column, in this order ("2, 3", "row 2, column 3"), else 0."""
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    found = _CELL.fullmatch(answer.translate(_BRACKETS).lower().strip(" ."))
    return Score.of(float(found is not None and [int(found[1]), int(found[2])] == list(cell)), answer)


def score_permutation(reply: str, gold: Sequence[int], reward: str = "exact") -> Score:
    """Compares a list of numbers ("3, 1, 2, 4") with the permutation ``gold``, place by place.

    ``reward`` is ``exact`` (1 or 0), ``partial`` (the share of places that are right; an answer that is no permutation
    is wrong) or ``slots`` (that share without the check, and what stands after the last place is not read: a list of
    equal numbers earns one place in any case).
    """
    answer = extract(reply)
    if answer is None:
        return Score.unparsed()
    items = split_items(answer)
    if len(items) == 1:
        items = items[0].split()
    right = sum(item == str(number) for item, number in zip(items, gold, strict=False))
    if reward != "slots" and sorted(items) != sorted(map(str, gold)):
        right = 0
    return Score.of(float(right == len(gold)) if reward == "exact" else right / len(gold), answer)
