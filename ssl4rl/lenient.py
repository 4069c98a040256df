"""Lenient reading of a choice among options, for the evaluation of models that were not trained on the reply's form.

No reward is ever computed with it; what the strict reading of :mod:`ssl4rl.answers` finds correct is correct here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ssl4rl.answers import ANSWER_TAG, END_OF_THOUGHT, THOUGHT, Score, normalise
from ssl4rl.mentions import MENTION, Mentions, plain

# Patterns over text in which each mention of an option is one character. Every repetition has a bound or ends where
# the next begins: time stays linear in the reply's length.
_OTHER = rf"[^.!?\n{MENTION[1:-1]}]"
_AND = r"(?:\band\b|\bor\b|\bnor\b|[/&和或与]|还是)"
_GROUP = rf"{MENTION}(?:[)\]]?(?:\s?,\s?[(\[]?{MENTION}[)\]]?){{0,8}}\s?,?\s?{_AND}\s?[(\[]?{MENTION}){{0,8}}+"

# Where a sentence ends: not after the mark behind a label that begins a line ("B. It ..."), nor after a colon.
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<![:\s])\s*\n\s*")
# Where a sentence takes a turn: what is said before "but" and after it is read apart.
_TURN = re.compile(
    r"(?:,|(?<![\s,]))\s+(?=(?:but|however|yet)\b)|,\s+(?=(?:so|therefore|thus|hence)\b)|,(?=[但所因故而])",
    re.IGNORECASE,
)
# A later answer replaces an earlier one where one of these comes with it; otherwise the two contradict each other.
_CHANGES_MIND = re.compile(
    r"\b(?:no|but|however|wait|actually|instead|rather|yet|so|therefore|thus|hence|finally|conclusion|conclude|"
    r"overall|correction|sorry|summary|second|reflection|reconsider\w*|let me|revise|change|based)\b|"
    r"[但所因故]|最终|不对|更正",
    re.IGNORECASE,
)
# What a sentence denies ("not B", "rather than B", "B is wrong") or only compares with ("than B").
_FILLER = (
    r"(?:(?:a|an|the|be|to|for|in|that|of|it|is|at|on|near|with|necessarily|options?|choices?|answers?|points?|images?|"
    r"pictures?|box|either|any|both|choose|select|pick|consider|think|believe)\W{1,3}){0,4}"
)
_REJECTED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|than|unlike|except|besides|cannot|eliminat\w{1,5}|exclud\w{1,5}|"
    r"rul(?:e|es|ed|ing) out|reject\w{0,3}|(?:rather|other) than|instead of|(?:opposed|compared) (?:to|with))\b|"
    rf"n['’]t\b|不是|不选|不会是|并非|而非|排除)\W{{0,3}}{_FILLER}{_GROUP}",
    re.IGNORECASE,
)
_AUXILIARY = (
    r"(?:\s{1,3}(?:is|are|was|were|does|do|did|can|could|would|should|must|may|might|will|be|been|seems?|appears?|looks?|"
    r"to|clearly|also|definitely|therefore|obviously|simply|both|all)\b){0,4}"
)
_REJECTED_AFTER = re.compile(
    rf"{_GROUP}[)\]]?{_AUXILIARY}(?:\s{{1,3}}(?:not|cannot|\w{{2,6}}n['’]t|can['’]t|incorrect|wrong|false|invalid|unlikely|"
    r"less|too|ruled out|eliminated|excluded)\b|\s{0,3}(?:不对|不正确|不是|不符合|错))",
    re.IGNORECASE,
)
# A reason or a contrast: what follows in the sentence is not what the sentence says.
_ASIDE = re.compile(
    r"\b(?:because|since|while|whereas|although|though|given that|in contrast|on the other hand|conversely|"
    r"in comparison|as (?:it|they|this|that|the|both|there|we|its|in)|due to|despite)\b|因为|由于",
    re.IGNORECASE,
)
# Options that are only listed: "A, B, C and D", "(A or B)".
_ENUMERATION = re.compile(
    rf"{MENTION}(?:[)\]]?\s?(?:[,/&]\s?)?(?:\band\b|\bor\b|[和或与])?\s?[(\[]?{MENTION}){{2,40}}+", re.IGNORECASE
)
_ALTERNATIVES = re.compile(rf"\(\s*{MENTION}\s*(?:,|/|\bor\b|\band\b)\s*{_GROUP}\s*\)")

# "The answer is ...", "I choose ...", "\\boxed{...}"; and "... is the best choice".
_NOUN = r"(?:answers?|choice|option|solution|selection|conclusion|verdict|prediction|decision)"
_IS = r"(?:\b(?:is|are|be|becomes|remains|seems|appears|as)\b|[:=→]|->)"
_ANNOUNCED = re.compile(
    rf"\b{_NOUN}\b(?:{_OTHER}{{0,100}}?{_IS}|(?=\s*[(\[{{]*{MENTION}\W*$))|"
    r"\b(?:choos(?:e|ing)|chose|select(?:ed|ing)?|pick(?:ed|ing)?|go(?:ing)? with|went with|opt(?:ed|ing)? for|"
    r"vote for|lean(?:ing)? towards?|settled? on|decide on)\b|\b(?:is|would be|must be|should be):|"
    r"\\boxed|答案|结论|选项?[是为]?择?|正确的?是",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    rf"({_GROUP}){_OTHER}{{0,60}}?(?:\b(?:is|are|be|as|seems|appears|makes?|being|gets)\b|是){_OTHER}{{0,60}}?"
    rf"(?:\b{_NOUN}\b|\b(?:correct|right|best)\b(?! (?:side|of|hand))|正确|对的)",
    re.IGNORECASE,
)
# A clause that concludes: "Therefore, ...", "I believe ...", or one that identifies: "the point in question is B".
_CONCLUDES = re.compile(
    r"\W{0,3}(?:(?:and|but) )?(?:therefore|thus|hence|so|actually|no\b,? wait|wait|in (?:conclusion|summary|my)|"
    r"to (?:conclude|summari[sz]e)|(?:but|however)\b(?=.{0,60}\b(?:better|best)\b)|"
    r"overall|based on|given|considering|judging|consequently|accordingly)\b|"
    r".{0,80}\bi(?:['’]d| would| believe| think)\b|\s*(?:所以|因此|综上)|"
    rf"{_OTHER}{{0,200}}\b(?:is|be)\b\W{{1,3}}"
    rf"(?:(?:the|at|labell?ed|point|option|image|picture|box|likely)\W{{1,3}}){{0,3}}{MENTION}",
    re.IGNORECASE,
)
_DESCRIBES = re.compile(r"\b(?:shows?|depicts?|contains?|features?|displays?)\b", re.IGNORECASE)
REFUSES = re.compile(
    r"\b(?:cannot|can['’]t|unable to|(?:im|not )possible to) (?:\w{1,20}ly )?(?:determine|tell|say|answer|identify|"
    r"decide|choose|select|know|provide|make|see|view|assist|help)\b|无法",
    re.IGNORECASE,
)
# A line of a list: "(A) ...", "- Option A ...", "A: ...".
_ITEM = re.compile(
    r"(?P<bullet>[ \t]*(?:[-•–]|\d{1,2}[.)])[ \t]*)?(?:(?:the|option|choice|image|point)\W{1,3}){0,2}(?P<open>[(\[]?)"
    rf"(?P<option>{MENTION})(?P<mark>[)\].:]|[ \t]*[-–—:=]|[ \t]*$)?",
    re.IGNORECASE,
)


def find_choice(reply: str, choices: Mapping[str, str]) -> str | None:
    r"""The label of the option that a reply means, read leniently; None where it commits to none, or to more than one.

    ``choices`` maps each label ("B", "12", "yes") to the option's name; a reply may use either, and
    :class:`~ssl4rl.mentions.Mentions` finds both. The first of these that applies decides:

    1. the last ``<answer>`` after the last ``</think>``, closed or not;
    2. the whole reply, if it is a label or a name;
    3. the last clause that announces an answer ("the answer is …", "Answer: …", ``\boxed{…}``, "I choose …", "… is the
       best choice"), or that concludes after one. It replaces earlier ones if it says so ("no", "but", "therefore");
       otherwise two that differ leave None;
    4. the only option that the text asserts;
    5. of several, that of the last clause which concludes ("Therefore, …", "I believe …", "… is B");
    6. that of the first clause, unless it describes an option ("B shows …").

    What is denied or compared with ("not B", "than B", "B is wrong"), reasons and contrasts ("because …", "while …"),
    questions, and lists of the options, one a line or within brackets, assert nothing. A sentence that refuses ("I
    cannot determine …") rules out 4 to 6. A label beside another option's name is a contradiction.

    >>> find_choice("It cites learning theory, so the answer is (B).", {"A": "Neural Networks", "B": "Theory"})
    'B'
    >>> find_choice("The answer is A because B is wrong.", {"A": "Neural Networks", "B": "Theory"})
    'A'
    >>> find_choice("A paper on B-trees or theory of networks.", {"A": "Neural Networks", "B": "Case Based"})
    """
    return _single(_find_options(reply, choices))


def _find_options(reply: str, choices: Mapping[str, str]) -> set[str]:
    """The labels of all options that a reply names where :func:`find_choice` looks for one."""
    visible = END_OF_THOUGHT.split(reply)[-1]
    mentions = Mentions(choices)
    tags = list(ANSWER_TAG.finditer(visible))
    opened = [i for i, tag in enumerate(tags) if not tag.group(1)]
    if opened:
        end = tags[opened[-1] + 1].start() if opened[-1] + 1 < len(tags) else len(visible)
        answer = visible[tags[opened[-1]].end() : end]
        return _match_whole(answer, choices) or _asserted(mentions.mark(plain(answer), is_answer=True), mentions)
    if THOUGHT.search(visible):
        return set()  # a thought that was cut off, and no answer
    visible = ANSWER_TAG.sub(" ", visible)
    if whole := _match_whole(visible, choices):
        return whole
    sentences = _sentences(mentions.mark(plain(visible)))
    committed = _committed(sentences, mentions)
    return _concluded(sentences, mentions) if committed is None else committed


def _single(labels: set[str]) -> str | None:
    return next(iter(labels)) if len(labels) == 1 else None


def _match_whole(text: str, choices: Mapping[str, str]) -> set[str]:
    """The label that a text is, or else the labels of the options whose name it is."""
    whole = normalise(text)
    labels = {label for label in choices if normalise(label) == whole}
    return labels or {label for label, name in choices.items() if whole and normalise(name) == whole}


def _sentences(marked: str) -> list[str]:
    """The sentences of a marked text; of a list of the options, one a line, only what concludes something."""
    lines = [line for line in marked.split("\n") if line.strip()]
    runs: list[list[int]] = []
    previous = ""
    for i, line in enumerate(lines):
        item = _ITEM.match(line)
        if not item or not (item["bullet"] or item["open"] or item["mark"] is not None):
            continue
        option = item["option"]
        after_colon = i and lines[i - 1].rstrip().endswith(":")
        if runs and ord(option) == ord(previous) + 1 and not after_colon:
            runs[-1].append(i)
        else:
            runs.append([i])
        previous = option
    listed = {i for run in runs if len(run) > 1 for i in run}
    kept, text = [], []
    for i, line in enumerate(lines):
        if i not in listed:
            text.append(line)
            continue
        kept += _split("\n".join(text))
        kept += [part for part in _split(line)[1:] if _CONCLUDES.match(part)]
        text = []
    return [*kept, *_split("\n".join(text))]


def _split(text: str) -> list[str]:
    """The sentences of a text that are no questions."""
    return [part for part in _SENTENCE_END.split(text) if part and not part.endswith("?")]


def _asserted(clause: str, mentions: Mentions) -> set[str]:
    """The options that a clause names and does not reject."""
    return mentions.labels(_without_rejected(clause))


def _without_rejected(clause: str) -> str:
    """A clause without the options that it denies or compares with, and without its reasons and contrasts."""
    clause = _REJECTED_AFTER.sub(" ", _REJECTED_BEFORE.sub(" ", clause))
    if aside := _ASIDE.search(clause):
        if re.search(MENTION, clause[: aside.start()]):
            clause = clause[: aside.start()]
        elif (comma := clause.find(",", aside.end())) >= 0:
            clause = clause[comma:]
    return clause


def _committed(sentences: Sequence[str], mentions: Mentions) -> set[str] | None:
    """What the last announcement of an answer names; None where nothing is announced."""
    decided: set[str] | None = None
    for sentence in sentences:
        for clause in _TURN.split(sentence):
            found = _announced(clause, mentions)
            if found is None and decided and _CONCLUDES.match(clause):
                # "... Therefore, it is D" after an answer that was announced on the way.
                found = _asserted(clause, mentions)
                found = found if len(found) == 1 else None
            if found is None or len(found) > 2:
                continue
            if decided and found and decided != found and len(decided) == 1 and not _CHANGES_MIND.search(sentence):
                found = found | decided
            decided = found or decided
    return decided


def _announced(clause: str, mentions: Mentions) -> set[str] | None:
    """The options that a clause announces as the answer; None if it announces nothing."""
    kept = _without_rejected(clause)
    end = len(kept)
    for cue in reversed(list(_ANNOUNCED.finditer(kept))):
        if found := mentions.labels(kept[cue.end() : end]):
            return found
        end = cue.start()
    if confirmed := list(_CONFIRMED.finditer(kept)):
        return mentions.labels(confirmed[-1][1])
    return None


def _concluded(sentences: Sequence[str], mentions: Mentions) -> set[str]:
    """What the text says where no answer is announced."""
    found = []
    for sentence in sentences:
        if REFUSES.search(sentence):
            return set()
        for clause in _TURN.split(sentence):
            said = mentions.labels(_ENUMERATION.sub(" ", _ALTERNATIVES.sub(" ", _without_rejected(clause))))
            if said:
                found.append((clause, said))
    if len(labels := set[str]().union(*(said for _, said in found))) <= 1:
        return labels
    for sentence, said in reversed(found):
        if _CONCLUDES.match(sentence) and len(said) == 1:
            return said
    sentence, said = found[0]
    return said if sentences[0].startswith(sentence) and not _DESCRIBES.search(sentence) else labels


def lenient_score(reply: str, accepted: Sequence[str], choices: Mapping[str, str]) -> Score:
    """1 if the option that :func:`find_choice` reads, or all that a reply names, are among ``accepted``, else 0.

    What the strict :func:`score_any_of` finds correct is correct here too; what it finds wrong because it names no
    option is unparsed here.
    """
    labels = _find_options(reply, choices)
    found = {normalise(label) for label in labels}
    right = [label for label in accepted if normalise(label) in found]
    # Two names of one class are no contradiction, nor are two that read alike.
    if right and found == set(map(normalise, right)):
        return Score.of(1.0, right[0])
    label = _single(labels)
    return Score.unparsed() if label is None else Score.of(0.0, label)
