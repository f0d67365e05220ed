"""Model packages with random weights and the real graph: what they cost is real, what they find is not. No torch.

The one of BERT-base's size has 12 layers, 768 wide, 21,128 tokens (one per Chinese character, as in BERT-base-Chinese):
104 MB in INT8. Writing it takes seconds to half a minute, so benchmarks keep it.
"""

import shutil
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
from hanner_inference.tokenization.tokens import TokenizerOptions
from hanner_models.conversion.graph import Float, Shape, build
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import SMOOTHING, Smooth, calibrate_smooth
from support.encoders import random_weights
from support.packages import BIO, tiny_crf

FOLDER = Path(tempfile.gettempdir()) / "hanner-bench" / "base-int8"
"""Where benchmarks keep it between runs."""


@dataclass(frozen=True)
class Size:
    shape: Shape
    hidden: int
    inner: int
    vocabulary: int


BASE = Size(Shape(layers=12, heads=12, max_length=512), 768, 3072, 21_128)
SMALL = Size(Shape(layers=2, heads=2, max_length=64), 32, 64, 7500)


def base_package(folder=FOLDER, scheme="static") -> Path:
    """Return `folder` with the package of BERT-base's size in it, written if it is not there."""
    return keep(Path(folder), lambda scratch: write_random_package(scratch, BASE, scheme))


def keep(folder, write) -> Path:
    """Return `folder`; if it is not there, `write` makes another and it gets the name once it is complete."""
    if not folder.exists():
        scratch = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(scratch, ignore_errors=True)
        write(scratch)
        scratch.rename(folder)
    return folder


def write_random_package(folder, size=SMALL, scheme="static") -> Path:
    """Write a package into `folder`, which is made, and return its path.

    `scheme` is fp32, or one of INT8 as `hanner model convert` names them: static, smooth, token.
    """
    folder.mkdir(parents=True)
    weights = weights_of(size)
    linear = layers(weights, size, scheme)
    (folder / MODEL).write_bytes(build(weights, size.shape, linear).SerializeToString())
    (folder / CRF).write_bytes(tiny_crf(len(BIO), np.random.default_rng(0)).to_bytes())
    character_tokenizer(size.vocabulary).save(str(folder / TOKENIZER))
    manifest = Manifest(
        name=f"random-{size.hidden}-{scheme}",
        source="tests/support/base_package.py",
        revision="0",
        labels=BIO,
        tokenizer=TokenizerOptions(lowercase=True, half_width=False, max_length=size.shape.max_length),
    )
    return write_manifest(folder, manifest).path


def layers(weights, size, scheme):
    """Return what writes linear layers of a scheme; ranges are taken from random tokens."""
    if scheme == "fp32":
        return Float()
    ids = np.random.default_rng(0).integers(106, size.vocabulary, (8, 48))
    sample = [Batch(ids, np.full(8, 48))]
    if scheme == "static":
        return StaticInt8(calibrate(weights, size.shape, sample))
    found = calibrate_smooth(weights, size.shape, sample, strength=SMOOTHING[scheme])
    return Smooth(TokenInt8() if scheme == "token" else StaticInt8(found.ranges), found.factors)


def weights_of(size):
    """Return random weights by the names of transformers' BertModel."""
    return random_weights(shape=size.shape, hidden=size.hidden, inner=size.inner, vocabulary=size.vocabulary)


def character_tokenizer(vocabulary) -> Tokenizer:
    """WordPiece of so many tokens: the special ones, ASCII and its continuations, punctuation, Chinese characters."""
    specials = ["[PAD]", *(f"[unused{n}]" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ascii_ = list(map(chr, range(0x21, 0x7F)))
    pieces = [f"##{character}" for character in ascii_ if character.isalnum()]
    known = [*specials, *ascii_, *pieces, *"，。！？、“”‘’：；（）《》—…·"]
    characters = map(chr, range(0x4E00, 0x4E00 + vocabulary - len(known)))
    tokens = {token: number for number, token in enumerate([*known, *characters])}
    tokenizer = Tokenizer(WordPiece(tokens, unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=False
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
