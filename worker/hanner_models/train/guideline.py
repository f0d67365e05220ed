"""Change the labels of corpora to our guideline where it differs, see docs/explanation/guideline.md. No I/O.

Corpora of news label only the surname in 王先生 and 老王; our guideline takes the whole as the mention. They label the
person in the name of a prize, 诺贝尔文学奖; our guideline does not. Corpora of web text label an address as one place;
our guideline takes each level, 浙江省 and 杭州市, as a mention of its own.
"""

import re
from collections.abc import Iterable, Iterator

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train.address import PREFIXES, SURNAMES, title_length
from hanner_models.train.places import split_levels

_UNLABELLED = re.compile(
    f"[{''.join(SURNAMES[:100])}](?:先生|女士|小姐|老师|教授|医生|主任|经理|总(?![是在会要想能算理统部体结之的])|某(?!些|种|个|一))"
)
"""A form of address; a corpus that does not label it follows another guideline."""
_PRIZE = re.compile(
    "(?:和平|文学|物理学?|化学|经济学?|生理学或医学|医学|科学|科技|戏剧|电影|音乐|建筑|新闻|数学|教育|摄影)?奖(?![励惩牌])"
)
"""The rest of the name of a prize after a person."""


def harmonise(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences with our labels, without those in which a form of address is not labelled at all."""
    return [sentence for sentence in map(apply_guideline, sentences) if not _has_unlabelled(sentence)]


def apply_guideline(sentence: Sentence) -> Sentence:
    """Return the sentence with labels that differ from our guideline changed; labels that are missing stay missing."""
    return Sentence(sentence.text, tuple(_changed_spans(sentence)))


def _changed_spans(sentence: Sentence) -> Iterator[Span]:
    for number, span in enumerate(sentence.spans):
        if span.type == "LOC":
            start = span.start
            for length in split_levels(sentence.text[span.start : span.end]):
                yield Span(span.type, start, start + length)
                start += length
        elif not _names_prize(sentence, span):
            yield _extend(sentence, number)


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
