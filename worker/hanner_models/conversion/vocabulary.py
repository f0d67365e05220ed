"""Cut the vocabulary of a tagger over word pieces to what texts use, so that its package is smaller. No I/O.

A pretrained encoder has pieces for many domains and languages. A text with a piece that was dropped is split into
shorter pieces; pieces of a single character are never dropped. A character that was dropped has the vector of unknown
characters, but its piece still has a vector of its own.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hanner_inference.tokenization.pieces import UNKNOWN, PieceTokenizer
from hanner_models.source import ConversionError, Source
from hanner_models.source.architecture import CHARACTER_TABLE, WORD_TABLE

_POSITIONS = "embeddings.position_embeddings.weight"
_CHUNK = 200
"""Characters that are tokenised at once."""
_FIRST_CHARACTER = UNKNOWN + 1
_SPECIAL = 4
_ENTRY_BYTES = 20
"""Bytes of an entry in tokenizer.json beyond those of the piece: its score and punctuation."""
_SCALE_BYTES = 4
_FLOAT_BYTES = 4
_MARGIN = 150_000
"""Bytes of a package that are not counted one by one: the manifest, the nodes of the graph, the CRF."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How often pieces and characters occur in texts.

    Attributes:
        pieces: int64 [pieces], in the order of their ids.
        characters: int64 [characters], in the order of the source's `characters`.
    """

    pieces: NDArray[np.int64]
    characters: NDArray[np.int64]


def count_usage(source: Source, texts: Iterable[str]) -> Usage:
    """Return how often the pieces and characters of a tagger occur in texts."""
    tokenizer = source.make_tokenizer()
    if not isinstance(tokenizer, PieceTokenizer):
        raise ConversionError("only the vocabulary of a tagger over word pieces can be cut; leave out --data")
    pieces = np.zeros(len(source.weights[WORD_TABLE]), dtype=np.int64)
    characters = np.zeros(len(source.weights[CHARACTER_TABLE]), dtype=np.int64)
    chunks = _chunks(texts)
    while block := list(islice(chunks, 1000)):
        rows = [tokenizer.encode_window(chunk) for chunk in block]
        pieces += np.bincount(np.concatenate([row.ids[1:-1] for row in rows]), minlength=len(pieces))
        ids = np.concatenate([row.characters[0] for row in rows if row.characters is not None])
        characters += np.bincount(ids, minlength=len(characters))
    return Usage(pieces, characters[_FIRST_CHARACTER:])


def _chunks(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts in parts of about _CHUNK characters; short texts, such as names, are joined with spaces."""
    joined = ""
    for text in texts:
        joined = f"{joined} {text}" if joined else text
        if len(joined) >= _CHUNK:
            yield from (joined[start : start + _CHUNK] for start in range(0, len(joined), _CHUNK))
            joined = ""
    if joined:
        yield joined


def cut_vocabulary(source: Source, usage: Usage, max_bytes: float | None = None) -> Source:
    """Return the tagger without the pieces and characters that never occur.

    Args:
        source: the tagger.
        usage: see `count_usage`.
        max_bytes: size of the INT8 package; the rarest pieces and characters are dropped until it is reached.

    Raises:
        ConversionError: the package would be larger than `max_bytes` even without them.
    """
    content = json.loads(source.tokenizer)
    entries = content["model"]["vocab"]
    required = np.array([number < _SPECIAL or len(piece) == 1 for number, (piece, _) in enumerate(entries)])
    width = source.weights[WORD_TABLE].shape[1]
    row = width + _SCALE_BYTES
    costs = np.array([row + _ENTRY_BYTES + len(piece.encode()) for piece, _ in entries])
    counts = np.where(required, np.iinfo(np.int64).max, usage.pieces)
    limit = 1
    if max_bytes is not None:
        limit = _smallest_count(
            np.concatenate((counts, usage.characters)),
            np.concatenate((costs, np.full(len(usage.characters), row + len("字\n".encode())))),
            max_bytes - _fixed_bytes(source),
        )
    kept = np.flatnonzero(counts >= limit)
    known = np.flatnonzero(usage.characters >= limit)
    content["model"]["vocab"] = [[entries[i][0], float(str(np.float32(entries[i][1])))] for i in kept.tolist()]
    rows = np.concatenate((np.arange(_FIRST_CHARACTER), known + _FIRST_CHARACTER))
    weights = source.weights | {
        WORD_TABLE: source.weights[WORD_TABLE][kept],
        CHARACTER_TABLE: source.weights[CHARACTER_TABLE][rows],
    }
    return replace(
        source,
        weights=weights,
        tokenizer=json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        characters=tuple(source.characters[i] for i in known.tolist()),
        training=source.training | {"vocabulary": {"pieces": len(kept), "characters": len(known), "min_count": limit}},
    )


def _smallest_count(counts: NDArray[np.int64], costs: NDArray[np.int64], budget: float) -> int:
    """Return the smallest count, at least 1, such that the entries which occur as often fit into the budget."""
    order = np.argsort(-counts, kind="stable")
    total = np.cumsum(costs[order])
    fitting = int(np.searchsorted(total, budget, side="right"))
    if fitting == len(counts):
        return 1
    limit = int(counts[order[fitting]]) + 1  # of entries with the same count, all are dropped or none
    if limit > counts[counts < np.iinfo(np.int64).max].max(initial=0):
        raise ConversionError("the package cannot be so small; give a larger --max-mb")
    return max(limit, 1)


def _fixed_bytes(source: Source) -> int:
    """Return the bytes of an INT8 package that do not depend on its vocabulary."""
    positions = min(source.shape.max_length, len(source.weights[_POSITIONS]))
    total: int = _MARGIN + positions * source.weights[_POSITIONS].shape[1] * _FLOAT_BYTES
    for name, value in source.weights.items():
        if name in {WORD_TABLE, CHARACTER_TABLE, _POSITIONS}:
            continue
        matrix = value.ndim > 1 and (".layer." in name or name.startswith("top."))
        total += value.size + len(value) * _SCALE_BYTES if matrix else value.size * _FLOAT_BYTES
    return total
