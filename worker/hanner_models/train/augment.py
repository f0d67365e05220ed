"""Changes labelled sentences so that names are learned by their surroundings and form, not by heart. Pure."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hanner_models.data.datasets import Sentence, Span

_TO_ASCII = str.maketrans("，。！？：；（）“”‘’、", ",.!?:;()\"\"'',")
_PUNCTUATION = frozenset("，。！？：；（）“”‘’、,.!?:;()\"'…—《》")

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Names:
    """Names to draw from: for each type, pools that are drawn from equally often, however long they are.

    Lists of names are long, and lack the titles, branches and abbreviations that people write; what stands in the
    corpora themselves, and the names that everyone knows, would drown in them.
    """

    pools: Mapping[str, Sequence[Sequence[str]]]

    def draw(self, kind: str, rng: random.Random) -> str | None:
        """Return a name of this type, None if there is none."""
        pools = [pool for pool in self.pools.get(kind, ()) if pool]
        return rng.choice(rng.choice(pools)) if pools else None


def fill(template: str, names: Names, rng: random.Random) -> Sentence:
    """Put names into a template such as `{PER}加盟{ORG}`. A type without names is left out of the sentence."""
    text, spans, copied = "", [], 0
    for slot in _SLOT.finditer(template):
        text += template[copied : slot.start()]
        name = names.draw(slot[1], rng)
        if name:
            spans.append(Span(slot[1], len(text), len(text) + len(name)))
            text += name
        copied = slot.end()
    return Sentence(text + template[copied:], tuple(spans))


def join(sentences: Sequence[Sentence]) -> Sentence:
    """Join consecutive sentences into one text."""
    spans: list[Span] = []
    length = 0
    for sentence in sentences:
        spans += [Span(s.type, s.start + length, s.end + length) for s in sentence.spans]
        length += len(sentence.text)
    return Sentence("".join(s.text for s in sentences), tuple(spans))


def replace_names(sentence: Sentence, names: Names, rng: random.Random) -> Sentence:
    """Replace about half of the names by others of their type; the same name stays the same within the sentence."""
    chosen: dict[tuple[str, str], str] = {}
    text, spans, copied = "", [], 0
    for span in sentence.spans:
        old = sentence.text[span.start : span.end]
        key = (span.type, old)
        if key not in chosen:
            chosen[key] = (names.draw(span.type, rng) or old) if rng.random() < 0.5 else old
        text += sentence.text[copied : span.start]
        spans.append(Span(span.type, len(text), len(text) + len(chosen[key])))
        text += chosen[key]
        copied = span.end
    return Sentence(text + sentence.text[copied:], tuple(spans))


def add_noise(sentence: Sentence, rng: random.Random) -> Sentence:
    """Write the punctuation in ASCII, or drop what ends the text, or drop all of it, as in chats and transcripts."""
    fate = rng.random()
    if fate < 0.4:
        return Sentence(sentence.text.translate(_TO_ASCII), sentence.spans)
    if fate < 0.7:
        end = max((s.end for s in sentence.spans), default=1)
        kept = sentence.text.rstrip("".join(_PUNCTUATION))
        return Sentence(sentence.text[: max(len(kept), end)], sentence.spans)
    inside = {i for s in sentence.spans for i in range(s.start, s.end)}
    keep = [i for i, c in enumerate(sentence.text) if i in inside or c not in _PUNCTUATION]
    place = {old: new for new, old in enumerate(keep)}
    spans = tuple(Span(s.type, place[s.start], place[s.end - 1] + 1) for s in sentence.spans)
    return Sentence("".join(sentence.text[i] for i in keep), spans)
