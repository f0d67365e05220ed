"""A tiny package of a model that reads word pieces and labels characters, with random weights and the real graph."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from hanner_inference.package import CHARACTERS, CRF, MODEL, TOKENIZER, Manifest, write_manifest
from hanner_inference.tokenization.normalise import compatible_form
from hanner_models.conversion.graph import Fp32, build
from hanner_models.source.teacher import piece_options
from support.encoders import WITH_CHARACTERS, random_weights
from support.packages import BIO, tiny_crf, tiny_tokenizer

WORDS = ["阿里巴巴", "杭州", "总部", "发表", "演讲", "马云", "▁the", "ab", "▁12", "张三", "。”", "...", "巴巴总"]
SPECIAL = [" <pad>", " <unk>", " <s>", " </s>"]


def tiny_characters():
    """Return all characters of the tiny tokenizer, in compatible form."""
    vocabulary = tiny_tokenizer().get_vocab()  # in a random order
    tokens = sorted(vocabulary, key=vocabulary.get)
    return list(dict.fromkeys(compatible_form(token) for token in tokens if len(token) == 1))


def tiny_pieces() -> Tokenizer:
    """Return a unigram tokenizer over single characters and some words."""
    entries = [(piece, 0.0) for piece in SPECIAL] + [("▁", -4.0)]
    entries += [(character, -9.0) for character in tiny_characters()] + [(word, -8.0) for word in WORDS]
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=1, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def write_tiny_piece_package(folder, *, labels=BIO, max_length=64, seed=7, **options) -> Path:
    """Write a package into `folder` and return its path; `options` are those of the tokenizer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, characters = tiny_pieces(), tiny_characters()[:2000]
    shape = replace(WITH_CHARACTERS, max_length=max_length + 1)
    weights = random_weights(
        seed,
        shape=shape,
        vocabulary=tokenizer.get_vocab_size(),
        characters=len(characters) + 2,
        labels=len(labels),
    )
    weights["linear.weight"] *= 5  # so that scores of different labels differ clearly
    (folder / MODEL).write_bytes(build(weights, shape, Fp32()).SerializeToString())
    (folder / CRF).write_bytes(tiny_crf(len(labels), np.random.default_rng(seed)).to_bytes())
    tokenizer.save(str(folder / TOKENIZER))
    (folder / CHARACTERS).write_text("\n".join(characters), "utf-8")
    prepared = piece_options(max_length - 2).model_copy(update=options)
    manifest = Manifest(
        name="tiny-pieces",
        source="tests/support/piece_packages.py",
        revision=str(seed),
        labels=labels,
        tokenizer=prepared,
        licences=("Apache-2.0",),
    )
    write_manifest(folder, manifest)
    return folder
