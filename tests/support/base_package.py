"""A model package of BERT-base's size with random weights, for benchmarks: what it costs is real, what it finds is not.

12 layers, 768 wide, 21,128 tokens (one per Chinese character, as in BERT-base-Chinese): 104 MB in INT8. Writing it
takes seconds to half a minute, so it is kept in a folder that the caller names. Needs no torch.
"""

import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from nerq_models.graph import Float, Shape, build
from nerq_models.quantise import StaticInt8, calibrate
from nerq_worker.engine.base import Batch
from nerq_worker.store import CRF, MODEL, TOKENIZER, Manifest, TokenizerOptions, open_package, seal
from support.encoders import random_weights
from support.packages import BIO, tiny_crf

FOLDER = Path(tempfile.gettempdir()) / "nerq-bench" / "base-int8"
"""Where benchmarks keep it between runs."""
SHAPE = Shape(layers=12, heads=12, max_length=512)
HIDDEN, INNER, VOCABULARY = 768, 3072, 21_128


def base_package(folder) -> Path:
    """Return `folder` with the package in it, written if it is not there."""
    folder = Path(folder)
    if not folder.exists():
        scratch = folder.with_name(f".{folder.name}.new")
        scratch.mkdir(parents=True, exist_ok=True)
        write_base_package(scratch)
        scratch.rename(folder)
    return open_package(folder).path


def write_base_package(folder, *, int8=True) -> None:
    """Write the package's files; `int8=False` leaves the graph in FP32."""
    weights = base_weights()
    linear = Float()
    if int8:
        random = np.random.default_rng(0)
        ids = random.integers(106, VOCABULARY, (8, 48))
        linear = StaticInt8(calibrate(weights, SHAPE, [Batch(ids, np.full(8, 48))]))
    (folder / MODEL).write_bytes(build(weights, SHAPE, linear).SerializeToString())
    (folder / CRF).write_bytes(tiny_crf(len(BIO), np.random.default_rng(0)).to_bytes())
    base_tokenizer().save(str(folder / TOKENIZER))
    manifest = Manifest(
        name="base-int8" if int8 else "base-fp32",
        source="tests/support/base_package.py",
        revision="0",
        labels=BIO,
        tokenizer=TokenizerOptions(lowercase=True, half_width=False, max_length=SHAPE.max_length),
    )
    seal(folder, manifest)


def base_weights():
    """Return random weights at BERT-base's size, by the names of transformers' BertModel."""
    return random_weights(shape=SHAPE, hidden=HIDDEN, inner=INNER, vocabulary=VOCABULARY)


def base_tokenizer() -> Tokenizer:
    """WordPiece with the special tokens, printable ASCII with its continuations, punctuation, and 20,000 characters."""
    specials = ["[PAD]", *(f"[unused{n}]" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ascii_ = list(map(chr, range(0x21, 0x7F)))
    pieces = [f"##{character}" for character in ascii_ if character.isalnum()]
    known = [*specials, *ascii_, *pieces, *"，。！？、“”‘’：；（）《》—…·"]
    characters = map(chr, range(0x4E00, 0x4E00 + VOCABULARY - len(known)))
    vocabulary = {token: number for number, token in enumerate([*known, *characters])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=False
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
