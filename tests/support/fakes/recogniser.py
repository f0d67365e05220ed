"""A fake model: it has the attributes that the worker reads from a recogniser, and returns what a function finds."""

from dataclasses import dataclass
from types import SimpleNamespace

from hanner.results import Entity
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

    def run(self, texts):
        found = [[Entity(**fields) for fields in entities] for entities in self._find(texts)]
        return found, FakeRunStats(len(texts), sum(map(len, texts)), max(map(len, texts)) * len(texts))
