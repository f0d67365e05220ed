"""Reads training data: running text, labelled sentences, lists of names. Reads files, imports no torch."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nerq_models.train.config import ConfigError


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled name: code points of the sentence, end exclusive."""

    type: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A labelled sentence."""

    text: str
    spans: tuple[Span, ...]


def weighted(entry: str) -> tuple[str, float]:
    """Split `path:weight` of a configuration; the weight is 1 when absent."""
    path, _, weight = entry.partition(":")
    try:
        return path, float(weight or 1)
    except ValueError:
        raise ConfigError(f"{entry!r}: what follows the colon must be a number") from None


def read_sentences(path: Path) -> list[Sentence]:
    """Read JSONL of `{"text", "entities": [{"type", "start", "end"}]}`.

    Raises:
        ConfigError: a line is not of that form; the sentence names it.
    """
    sentences = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            record = json.loads(line)
            spans = tuple(Span(e["type"], int(e["start"]), int(e["end"])) for e in record["entities"])
            sentences.append(Sentence(record["text"], tuple(sorted(spans, key=lambda s: s.start))))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}: not a labelled sentence ({error!r})") from None
    return sentences


def read_texts(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a text file (.txt, .txt.xz), or the texts of a labelled one (.jsonl)."""
    if path.suffix == ".jsonl":
        yield from (sentence.text for sentence in read_sentences(path))
    else:
        yield from (line for line in _lines(path) if line)


def read_names(path: Path) -> list[str]:
    """Read a list of names, one a line."""
    return [name for name in (line.strip() for line in _lines(path)) if name]


def _lines(path: Path) -> Iterator[str]:
    try:
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8") as file:
                yield from (line.rstrip("\n") for line in file)
        else:
            with path.open(encoding="utf-8") as file:
                yield from (line.rstrip("\n") for line in file)
    except (OSError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give the data folder with --data") from None
