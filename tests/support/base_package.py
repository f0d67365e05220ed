"""Model packages with random weights and the real graph: costs are realistic, entities are meaningless. No torch.

The package of BERT-base's size has 12 layers, width 768 and 21,128 pieces of the kinds that BERT-base-Chinese has. As
`hanner model convert` does, pieces that no text has are dropped, which leaves 98 MB in INT8. Writing the package takes
up to half a minute, so benchmarks cache it.
"""

import itertools
import string
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from hanner_inference.engine.base import Batch
from hanner_inference.package import CRF, MODEL, TOKENIZER, Manifest, write_manifest
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_models.conversion.graph import OPSET, Fp32, build
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import MIGRATION_STRENGTHS, SmoothQuant, smooth
from hanner_models.conversion.wordpieces import drop_unreachable_pieces
from hanner_models.source import Source
from hanner_models.source.architecture import EncoderShape
from support.encoders import random_weights
from support.packages import BIO, gb2312, tiny_crf

FOLDER = Path(tempfile.gettempdir()) / f"hanner-bench-{OPSET}" / "bert-base-int8"
"""Where benchmarks cache the package; packages of older code have another opset."""


@dataclass(frozen=True)
class Size:
    shape: EncoderShape
    hidden: int
    inner: int
    vocabulary: int


BASE = Size(EncoderShape(layers=12, heads=12, max_length=512), 768, 3072, 21_128)
IDEOGRAPHS = 7_322
"""In the vocabulary of BERT-base-Chinese, which also has all of them as continuations of words."""
SMALL = Size(EncoderShape(layers=2, heads=2, max_length=64), 32, 64, 7500)


def base_package(folder=FOLDER, scheme="static") -> Path:
    """Return `folder` with the package of BERT-base's size; it is written if the folder does not exist."""
    return cached_folder(Path(folder), lambda scratch: write_random_package(scratch, BASE, scheme))


def cached_folder(folder, write) -> Path:
    """Return `folder`; if it does not exist, create it with `write`. Several processes may do so at the same time."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            write(Path(scratch) / folder.name)
            try:
                (Path(scratch) / folder.name).rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster
                    raise
    return folder


def write_random_package(folder, size=SMALL, scheme="static") -> Path:
    """Write a package into the new folder `folder` and return its path.

    `scheme` is fp32 or an INT8 scheme of `hanner model convert`: static, smooth, token.
    """
    folder.mkdir(parents=True)
    source = random_tagger(size)
    linear = make_linear(source.weights, size, scheme)
    (folder / MODEL).write_bytes(build(source.weights, size.shape, linear).SerializeToString())
    (folder / CRF).write_bytes(tiny_crf(len(BIO), np.random.default_rng(0)).to_bytes())
    (folder / TOKENIZER).write_text(source.tokenizer, "utf-8")
    manifest = Manifest(
        name=f"random-{size.hidden}-{scheme}",
        source="tests/support/base_package.py",
        revision="0",
        labels=BIO,
        tokenizer=source.options,
    )
    return write_manifest(folder, manifest).path


def random_tagger(size) -> Source:
    """Return a tagger with random weights, without the pieces that no text has."""
    source = Source(
        weights=size_weights(size),
        shape=size.shape,
        labels=BIO,
        tokenizer=bert_tokenizer(size.vocabulary).to_str(),
        options=TokenizerOptions(lowercase=True, half_width=False, max_length=size.shape.max_length),
    )
    return drop_unreachable_pieces(source)


def make_linear(weights, size, scheme):
    """Return the linear layers of a scheme, calibrated with random tokens."""
    if scheme == "fp32":
        return Fp32()
    ids = np.random.default_rng(0).integers(106, len(weights["embeddings.word_embeddings.weight"]), (8, 48))
    sample = [Batch(ids, np.full(8, 48))]
    calibration = calibrate(weights, size.shape, sample)
    if scheme == "static":
        return StaticInt8(calibration.ranges)
    factors, smoothed = smooth(calibration, weights, size.shape, MIGRATION_STRENGTHS[scheme][-1])
    return SmoothQuant(TokenInt8() if scheme == "token" else StaticInt8(smoothed.ranges), factors)


def size_weights(size):
    """Return random weights by the names of transformers' BertModel."""
    return random_weights(shape=size.shape, hidden=size.hidden, inner=size.inner, vocabulary=size.vocabulary)


def bert_tokenizer(vocabulary) -> Tokenizer:
    """Return a WordPiece tokenizer with `vocabulary` pieces: as many ideographs as fit, twice, then pieces of words."""
    specials = ["[PAD]", *(f"[unused{n}]" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ascii_ = list(map(chr, range(0x21, 0x7F)))
    pieces = [f"##{character}" for character in ascii_ if character.isalnum()]
    known = [*specials, *ascii_, *pieces, *"，。！？、“”‘’：；（）《》—…·"]
    ideographs = dict.fromkeys((*gb2312(), *map(chr, range(0x4E00, 0xA000))))
    ideographs = list(ideographs)[: min(IDEOGRAPHS, (vocabulary - len(known)) // 2)]
    known += [*ideographs, *(f"##{character}" for character in ideographs)]
    words = map("".join, itertools.product(string.ascii_lowercase, repeat=3))
    known += itertools.islice(words, vocabulary - len(known))
    tokenizer = Tokenizer(
        WordPiece({token: n for n, token in enumerate(known)}, unk_token="[UNK]", continuing_subword_prefix="##")
    )
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=False
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
