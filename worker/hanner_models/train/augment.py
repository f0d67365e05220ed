"""Augment labelled sentences so that the model learns names by context and form instead of memorising them. No I/O."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hanner_models.data.datasets import Sentence, Span

_TO_ASCII = str.maketrans("，。！？：；（）“”‘’、", ",.!?:;()\"\"'',")
_PUNCTUATION = frozenset("，。！？：；（）“”‘’、,.!?:;()\"'…—《》")

_LATIN = re.compile("[A-Za-z]+")
_SLOT = re.compile(r"\{(\w+)\}")
_MARK = re.compile(r"\[([^\[\]|]+)\|(\w+)\]")
ADDRESS = "ADDRESS"
"""The slot of templates that is filled with the levels of an address, each a mention of its own."""


@dataclass(frozen=True)
class NamePools:
    """Names to choose from. The pools of a type are chosen equally often, independent of their size.

    Gazetteers are long, and lack titles, branches and abbreviations. In one pool they would outnumber the names in the
    corpora and well-known names.

    Attributes:
        pools: lists of names by entity type.
        addresses: addresses as their levels, for the slot `{ADDRESS}` of templates.
    """

    pools: Mapping[str, Sequence[Sequence[str]]]
    addresses: Sequence[Sequence[str]] = ()

    def choose(self, kind: str, rng: random.Random) -> str | None:
        """Return a name of this type, or None if the pools have no such name."""
        pools = [pool for pool in self.pools.get(kind, ()) if pool]
        return rng.choice(rng.choice(pools)) if pools else None

    def fill(self, slot: str, rng: random.Random) -> list[tuple[str, str]]:
        """Return the types and the texts of the adjacent mentions for a slot of a template; none without names."""
        if slot == ADDRESS:
            return [("LOC", level) for level in rng.choice(self.addresses)] if self.addresses else []
        name = self.choose(slot, rng)
        return [(slot, name)] if name else []


def fill_template(template: str, names: NamePools, rng: random.Random) -> Sentence:
    """Return a template such as `{PER}加盟{ORG}` filled with names. Slots of types without names stay empty."""
    text, spans, copied = "", [], 0
    for slot in _SLOT.finditer(template):
        text += template[copied : slot.start()]
        for kind, name in names.fill(slot[1], rng):
            spans.append(Span(kind, len(text), len(text) + len(name)))
            text += name
        copied = slot.end()
    return Sentence(text + template[copied:], tuple(spans))


def parse_marked(line: str) -> Sentence:
    """Return the sentence in a line such as `[马云|PER]在[杭州|LOC]演讲`."""
    text, spans, copied = "", [], 0
    for mark in _MARK.finditer(line):
        text += line[copied : mark.start()]
        spans.append(Span(mark[2], len(text), len(text) + len(mark[1])))
        text += mark[1]
        copied = mark.end()
    return Sentence(text + line[copied:], tuple(spans))


def join_sentences(sentences: Sequence[Sentence]) -> Sentence:
    """Return consecutive sentences joined into one text."""
    spans: list[Span] = []
    length = 0
    for sentence in sentences:
        spans += [Span(s.type, s.start + length, s.end + length) for s in sentence.spans]
        length += len(sentence.text)
    return Sentence("".join(s.text for s in sentences), tuple(spans))


def replace_names(sentence: Sentence, names: NamePools, rng: random.Random) -> Sentence:
    """Return the sentence with about half of its names replaced by others of the same type.

    A name that occurs several times is replaced by the same name each time.
    """
    chosen: dict[tuple[str, str], str] = {}
    text, spans, copied = "", [], 0
    for span in sentence.spans:
        old = sentence.text[span.start : span.end]
        key = (span.type, old)
        if key not in chosen:
            chosen[key] = (names.choose(span.type, rng) or old) if rng.random() < 0.5 else old
        text += sentence.text[copied : span.start]
        spaced = chosen[key] != old and _is_latin(chosen[key]) and rng.random() < 0.5
        if spaced and text and not text[-1].isspace():
            text += " "
        spans.append(Span(span.type, len(text), len(text) + len(chosen[key])))
        text += chosen[key]
        copied = span.end
        following = sentence.text[copied : copied + 1]
        if spaced and following.isalnum():
            text += " "
    return Sentence(text + sentence.text[copied:], tuple(spans))


def _is_latin(name: str) -> bool:
    return name[:1].isascii() and name[:1].isalpha()


def add_noise(sentence: Sentence, rng: random.Random) -> Sentence:
    """Return the sentence with ASCII punctuation, without final punctuation, or without any, as in chats."""
    choice = rng.random()
    if choice < 0.4:
        return Sentence(sentence.text.translate(_TO_ASCII), sentence.spans)
    if choice < 0.7:
        end = max((s.end for s in sentence.spans), default=1)
        kept = sentence.text.rstrip("".join(_PUNCTUATION))
        return Sentence(sentence.text[: max(len(kept), end)], sentence.spans)
    inside = {i for s in sentence.spans for i in range(s.start, s.end)}
    keep = [i for i, c in enumerate(sentence.text) if i in inside or c not in _PUNCTUATION]
    new_index = {old: new for new, old in enumerate(keep)}
    spans = tuple(Span(s.type, new_index[s.start], new_index[s.end - 1] + 1) for s in sentence.spans)
    return Sentence("".join(sentence.text[i] for i in keep), spans)


def change_case(sentence: Sentence, rng: random.Random) -> Sentence:
    """Return the sentence with its Latin letters in lower or upper case."""
    change = str.lower if rng.random() < 0.7 else str.upper
    text = _LATIN.sub(lambda run: change(run[0]), sentence.text)
    return Sentence(text, sentence.spans)
