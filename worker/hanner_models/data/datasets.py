"""Read data for training and evaluation: labelled sentences, running text, lists of names. Does not import torch."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanner.errors import HannerError
from hanner_models.data.conll import parse_conll

_COLUMNS = (".conll", ".bio", ".bioes", ".iob")


class DataError(HannerError):
    """The data cannot be used. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled entity: positions in code points of the sentence, the end is exclusive."""

    type: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A labelled sentence."""

    text: str
    spans: tuple[Span, ...]


def cut_sentence(sentence: Sentence, start: int, end: int) -> Sentence:
    """Return a part of a sentence, with the entities that begin in it; one that ends later is cut."""
    spans = [Span(s.type, s.start - start, min(s.end, end) - start) for s in sentence.spans if start <= s.start < end]
    return Sentence(sentence.text[start:end], tuple(spans))


def parse_weighted_path(entry: str) -> tuple[str, float]:
    """Return path and weight of an entry `path:weight` of a configuration; the default weight is 1."""
    path, _, weight = entry.partition(":")
    try:
        return path, float(weight or 1)
    except ValueError:
        raise DataError(f"{entry!r}: the weight after the colon must be a number") from None


def read_sentences(path: Path) -> list[Sentence]:
    """Return the labelled sentences in a file: JSONL or, if the first line is not a JSON object, columns as in CoNLL.

    A line of JSONL is `{"text", "entities": [{"type", "start", "end"}]}`, or, as annotation tools export it,
    `{"text", "label": [[start, end, type]]}`. Columns are described in conll.py.

    Raises:
        DataError: a line has another form; the message names it.
    """
    lines = list(_lines(path))
    if path.suffix in _COLUMNS or not next((line for line in lines if line.strip()), "{").lstrip().startswith("{"):
        return _from_columns(path, lines)
    sentences = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            sentences.append(_sentence(record["text"], list(_spans(record))))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number} is not a labelled sentence ({error!r}); "
                'each line must be {"text": …, "entities": [{"type": …, "start": …, "end": …}]}'
            ) from None
    return sentences


def _from_columns(path: Path, lines: list[str]) -> list[Sentence]:
    try:
        return [_sentence(text, [Span(*span) for span in spans]) for text, spans in parse_conll(lines)]
    except ValueError as error:
        raise DataError(f"{path}, {error}") from None


def _spans(record: Any) -> Iterator[Span]:
    if "entities" in record:
        for entity in record["entities"]:
            yield Span(str(entity["type"]), int(entity["start"]), int(entity["end"]))
        return
    for start, end, kind in record["label"]:
        yield Span(str(kind), int(start), int(end))


def _sentence(text: Any, spans: list[Span]) -> Sentence:
    if not isinstance(text, str):
        raise TypeError("text is not a string")
    for span in spans:
        if not 0 <= span.start < span.end <= len(text):
            raise ValueError(f"the entity from {span.start} to {span.end} is outside the text")
    return Sentence(text, tuple(sorted(spans, key=lambda span: span.start)))


def read_texts(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a text file (.txt, .txt.xz), or the texts of a labelled file (.jsonl, .conll, .bio)."""
    if path.suffix == ".jsonl" or path.suffix in _COLUMNS:
        yield from (sentence.text for sentence in read_sentences(path))
    else:
        yield from (line for line in _lines(path) if line)


def sample_texts(path: Path, count: int) -> list[str]:
    """Return up to `count` texts of a file, evenly spaced."""
    texts = [text for text in read_texts(path) if text.strip()]
    stride = max(1, len(texts) // count)
    return texts[::stride][:count]


def read_names(path: Path) -> list[str]:
    """Return the names in a file, one per line."""
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
        raise DataError(f"cannot read {path}: {error}") from None
