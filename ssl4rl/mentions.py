"""The options that a text mentions, by label or by name: each mention becomes a single character.

With one character per option, a pattern can speak of "the answer is OPTION" whatever the options are called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from ssl4rl.answers import WIDTHS

_FIRST = 0xF0000
MENTION = "[\U000f0000-\U000ffffd]"
"""A pattern of one mention: a character that Unicode leaves to private use."""

_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_MARKUP = re.compile(r"</?s>|[*`\"“”‘$]|\\(?:text|textbf|mathbf|mathrm|boldsymbol)\b|(?<![^\W_])_+|_+(?![^\W_])")
_BULLET = re.compile(r"^[ \t]{0,12}\* ", re.MULTILINE)
# After these no space is written, and after the plain ones of other scripts a sentence ends only before a space.
_STOP = re.compile("[。！？；]")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_JOINED = re.compile(r"(?<=[^\W_\u3400-\u9fff])['’-](?=[^\W_\u3400-\u9fff])")
# Names that are also words of any sentence; and what makes "A" an option rather than an article.
_SMALL_WORDS = {"yes", "no", "true", "false", "none", "both", "neither", "not"}
_ARTICLES = ("the", "a", "an")
_VERB_NEXT = re.compile(
    r"\s+(?:is|are|was|has|would|will|could|should|must|does|did|can|cannot|may|might|appears?|seems?|looks?|more|most|"
    r"best|better|also|and|or|nor|over|than|because|since|as|which|that|on|in|at|corresponds?|matches|fits|shows?|"
    r"contains?|depicts?|follows?|features?|by|for|but|if|instead|rather|not|correctly|accurately)\b"
)
_LOWER_NEXT = re.compile(r"\s+[a-z]")
_OPEN = re.compile(r"[(\[{<]\s*$")
# "Yes or no", "Yes/No"; and "yes if they are related and no otherwise".
_OR_NEXT = re.compile(r"[\s,]{0,3}(?:(?:or|and)\b|[/|])\s{0,3}", re.IGNORECASE)
_IF_NEXT = re.compile(r"\s+(?:if|when|unless|otherwise)\b")
# What announces a label, so that a number or a lower-case letter after it counts.
_NOUN_BEFORE = re.compile(
    r"\b(?:options?|choices?|answers?|letters?|labels?|class|category|candidates?|alternatives?|boxed)\W{0,3}$|"
    r"\b(?:answers?|choice|option)\b[^.\n]{0,20}?(?:\bis|\bbe|[:=])\W{0,4}$|答案[是为]?[:\s]*$|[选项择]\s*$",
    re.IGNORECASE,
)
_DELIMITED = re.compile(r"\s*[)\]}:.!,;(–—]|\s+-\s|\s*$|[ \t]*\n")
# No name goes on beyond one of these.
_BREAK = re.compile(r"\n|[.!?:]\s|\(")
# "(B) Theory", "Theory (option B)": one mention, not two.
_SAME_TWICE = re.compile(rf"[(\[]?({MENTION})(?:[ ).:,\]}}(\[{{|–-]|\b(?:the|is|option|choice)\b){{1,6}}\1[)\]]?(?!\w)")


def plain(text: str) -> str:
    """Plain widths, no markup; nothing that looks like a mention."""
    composed = unicodedata.normalize("NFC", _STOP.sub(r"\g<0> ", text)).translate(WIDTHS)
    return _MARKUP.sub("", _BULLET.sub("- ", _PRIVATE.sub(" ", composed)))


class Mentions:
    """Finds the mentions of ``choices`` (label to name) in texts.

    Names are runs of whole words in any case, the longest at each place. Letters must be capitals and stand alone; an
    "A" or "I" before a lower-case word may be a word of the sentence. Numbers count as labels only where they are
    announced ("option 2", "(2)" after "the answer is"), and words such as "yes" where they are, where a
    sentence begins with them, or as the alternative to one before ("yes or no", "yes if …, no otherwise").
    """

    def __init__(self, choices: Mapping[str, str]) -> None:
        # In the order of their labels, whatever the order that they come in.
        self._labels = sorted(choices, key=lambda label: (len(label), label))
        self._symbols = {label: place for place, label in enumerate(self._labels) if len(label) == 1 or label.isdigit()}
        self._names: dict[tuple[str, ...], set[int]] = {}
        self._lengths: dict[str, set[int]] = {}
        for place, label in enumerate(self._labels):
            run = _name_words(choices[label])
            if len(run) > 1 and run[0] in _ARTICLES and run[1:] != _name_words(label):
                run = run[1:]
            # A label that is a word ("yes", "goldfish") is read as a name is.
            of_label = _name_words(label)
            for words in {run} - {of_label} if label in self._symbols else {run, of_label}:
                if words:
                    self._names.setdefault(words, set()).add(place)
                    self._lengths.setdefault(words[0], set()).add(len(words))

    def labels(self, text: str) -> set[str]:
        """The labels of all mentions in a marked text."""
        return {self._labels[ord(char) - _FIRST] for char in re.findall(MENTION, text)}

    def mark(self, text: str, *, is_answer: bool = False) -> str:
        """The text with each mention as one character; ``is_answer``: it is meant as one, so that all labels count."""
        words = list(_WORD.finditer(text))
        lower = [word.group().lower() for word in words]
        pieces: list[str] = []
        end, i = 0, 0
        while i < len(words):
            length, places = self._name_at(text, words, lower, i)
            if length == 1 and lower[i] in _SMALL_WORDS and not is_answer:
                is_other = bool(pieces) and _is_alternative(text, end, words[i])
                places = places if is_other or self._stands_out(text, words[i]) else set()
            if not places and self._is_label(text, words[i], is_answer):
                token = words[i].group()
                found = self._symbols.get(token, self._symbols.get(token.upper()))
                length, places = 1, set() if found is None else {found}
            if places:
                pieces.append(text[end : words[i].start()])
                pieces += [chr(_FIRST + place) for place in sorted(places)]
                end = words[i + length - 1].end()
            i += length if places else 1
        marked = "".join([*pieces, text[end:]])
        return _SAME_TWICE.sub(r"\1", _SAME_TWICE.sub(r"\1", marked))

    def _name_at(self, text: str, words: list[re.Match[str]], lower: list[str], i: int) -> tuple[int, set[int]]:
        for length in sorted(self._lengths.get(lower[i], ()), reverse=True):
            places = self._names.get(tuple(lower[i : i + length])) if i + length <= len(lower) else None
            if places and not _BREAK.search(text, words[i].end(), words[i + length - 1].start()):
                return length, places
        return 1, set()

    def _is_label(self, text: str, word: re.Match[str], is_answer: bool) -> bool:
        token, start, end = word.group(), word.start(), word.end()
        if token not in self._symbols:
            # "The answer is (b)."; a lower-case letter that is not announced is no label.
            announced = token.upper() in self._symbols and _NOUN_BEFORE.search(text[max(0, start - 40) : start])
            return bool(announced and _DELIMITED.match(text, end))
        if _JOINED.match(text, end) or (start and _JOINED.match(text, start - 1)):
            return False
        noun = bool(_NOUN_BEFORE.search(_OPEN.sub("", text[max(0, start - 40) : start])))
        if token.isdigit():
            return is_answer or noun
        if token in ("A", "I") and _LOWER_NEXT.match(text, end):
            return token == "A" and (noun or bool(_VERB_NEXT.match(text, end)))
        return True

    def _stands_out(self, text: str, word: re.Match[str]) -> bool:
        """Whether a word is announced, or begins a sentence and is set off from it."""
        before = text[max(0, word.start() - 40) : word.start()]
        if _NOUN_BEFORE.search(before):
            return True
        before = before.rstrip(" ([{\t-")
        return (not before or before[-1] in "\n.!?:)") and bool(_DELIMITED.match(text, word.end()))


def _is_alternative(text: str, end: int, word: re.Match[str]) -> bool:
    """Whether a word gives the other of two answers, the last mention having ended at ``end``."""
    if _BREAK.search(text, end, word.start()):
        return False
    return bool(_OR_NEXT.fullmatch(text, end, word.start()) or _IF_NEXT.match(text, word.end()))


def _name_words(text: str) -> tuple[str, ...]:
    # Words first: a capital may become two characters, of which one ends a word (İ).
    return tuple(word.lower() for word in _WORD.findall(unicodedata.normalize("NFC", text)))
