"""A fake model: it has the attributes that the worker reads from a recogniser, and returns what a function finds."""

from dataclasses import astuple, dataclass
from types import SimpleNamespace

from hanner.results import Entity
from hanner_inference.pipeline import PART_TOKENS
from hanner_inference.tokenization.options import TokenizerOptions


@dataclass(frozen=True)
class FakeRunStats:
    """The part of RunStats that the worker reads."""

    windows: int
    tokens: int
    padded_tokens: int


class FakeRecogniser:
    """A recogniser without a model.

    Args:
        name: The model's name; its id is NAME@00000000.
        find: Takes texts and returns one list per text, of the fields of its entities.
    """

    batch_texts, batch_tokens = 32, 2048

    def __init__(self, name, find):
        self._find = find
        self.package = SimpleNamespace(
            id=f"{name}@00000000",
            digest="0" * 64,
            manifest=SimpleNamespace(tokenizer=TokenizerOptions(max_length=512, lowercase=True, half_width=True)),
            name=name,
        )

    def run_until(self, texts, interruption):
        """Return what is found until the interruption; the texts are processed in parts of at most `max_tokens`."""
        spans, total = interruption.spans, FakeRunStats(0, 0, 0)
        for number, part in enumerate(parts([text for text in texts if text not in spans], interruption.max_tokens)):
            if number and interruption.is_due():
                break
            entities, stats = self.run(part)
            spans |= dict(zip(part, entities, strict=True))
            total = FakeRunStats(*map(sum, zip(astuple(total), astuple(stats), strict=True)))
        return {text: spans[text] for text in texts if text in spans}, total

    def run(self, texts):
        found = [[Entity(**fields) for fields in entities] for entities in self._find(texts)]
        return found, FakeRunStats(len(texts), sum(map(len, texts)), max(map(len, texts)) * len(texts))


def parts(texts, max_tokens):
    """Yield parts of the texts with at most `max_tokens` characters, but at least PART_TOKENS; a longer text is one."""
    part = []
    for text in texts:
        if part and sum(map(len, part)) + len(text) > max(PART_TOKENS, max_tokens):
            yield part
            part = []
        part.append(text)
    if part:
        yield part
