"""Change the labels of corpora to our guideline where it differs, see docs/explanation/guideline.md. No I/O.

Corpora of news label only the surname in 王先生 and 老王; our guideline takes the whole as the mention. They label the
person in the name of a prize, 诺贝尔文学奖; our guideline does not.
"""

import re
from collections.abc import Iterable

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train.address import PREFIXES, SURNAMES, title_length

_UNLABELLED = re.compile(
    f"[{''.join(SURNAMES[:100])}](?:先生|女士|小姐|老师|教授|医生|主任|经理|总(?![是在会要想能算理统部体结之的])|某(?!些|种|个|一))"
)
"""A form of address; a corpus that does not label it follows another guideline."""
_PRIZE = re.compile(
    "(?:和平|文学|物理学?|化学|经济学?|生理学或医学|医学|科学|科技|戏剧|电影|音乐|建筑|新闻|数学|教育|摄影)?奖(?![励惩牌])"
)
"""The rest of the name of a prize after a person."""


def harmonise(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences with whole forms of address, without those in which one is not labelled at all."""
    changed = (
        Sentence(s.text, tuple(_extend(s, number) for number, span in enumerate(s.spans) if not _names_prize(s, span)))
        for s in sentences
    )
    return [sentence for sentence in changed if not _has_unlabelled(sentence)]


def _names_prize(sentence: Sentence, span: Span) -> bool:
    return span.type == "PER" and bool(_PRIZE.match(sentence.text, span.end))


def _extend(sentence: Sentence, number: int) -> Span:
    """Return a span that includes the form of address before or after a bare surname."""
    text, span = sentence.text, sentence.spans[number]
    name = text[span.start : span.end]
    if span.type != "PER" or name not in SURNAMES:
        return span
    limit = sentence.spans[number + 1].start if number + 1 < len(sentence.spans) else len(text)
    if (length := title_length(text, span.end)) and span.end + length <= limit:
        return Span(span.type, span.start, span.end + length)
    before = sentence.spans[number - 1].end if number else 0
    if span.start > before and text[span.start - 1] in PREFIXES[:2]:
        return Span(span.type, span.start - 1, span.end)
    return span


def _has_unlabelled(sentence: Sentence) -> bool:
    inside = {i for span in sentence.spans for i in range(span.start, span.end)}
    return any(found.start() not in inside for found in _UNLABELLED.finditer(sentence.text))
