"""A small BERT tagger with random weights, and BERT in plain numpy as a reference for graphs."""

import itertools
import math
from dataclasses import replace

import numpy as np

from hanner_inference.tokenization.pieces import PLACES
from hanner_models.source.architecture import (
    BIGRAM_FACTOR,
    BIGRAM_PROJECTION,
    BIGRAM_TABLE,
    CHARACTER_LAYER,
    CHARACTER_NORM,
    CHARACTER_TABLE,
    PLACE_TABLE,
    EncoderShape,
)

ERF = np.vectorize(math.erf)
SHAPE = EncoderShape(layers=2, heads=2, max_length=32)
WITH_BIGRAMS = replace(SHAPE, bigrams=True)
WITH_RELU = replace(SHAPE, activation="relu")
WITH_CHARACTERS = replace(SHAPE, characters=True)
HIDDEN, INNER, VOCABULARY, LABELS = 32, 64, 50, 7


def random_weights(
    seed=0, *, shape=SHAPE, hidden=HIDDEN, inner=INNER, vocabulary=VOCABULARY, characters=VOCABULARY, labels=LABELS
):
    """Return random weights by the names of transformers' BertModel."""
    rng = np.random.default_rng(seed)

    def matrix(*shape):
        return rng.normal(0, 1 / math.sqrt(shape[-1]), shape).astype(np.float32)

    def norm(name):
        return {f"{name}.weight": 1 + 0.1 * matrix(hidden), f"{name}.bias": 0.1 * matrix(hidden)}

    def linear(name, inputs, outputs):
        return {f"{name}.weight": matrix(outputs, inputs), f"{name}.bias": 0.1 * matrix(outputs)}

    weights = {
        "embeddings.word_embeddings.weight": matrix(vocabulary, hidden),
        "embeddings.position_embeddings.weight": matrix(shape.max_length, hidden),
        "embeddings.token_type_embeddings.weight": matrix(2, hidden),
        **norm("embeddings.LayerNorm"),
        **linear("linear", hidden, labels),
    }
    if shape.bigrams:
        weights |= {BIGRAM_TABLE: matrix(61, 8), BIGRAM_PROJECTION: matrix(hidden, 16)}
    if shape.characters:
        weights |= {CHARACTER_TABLE: matrix(characters, hidden), PLACE_TABLE: matrix(PLACES, hidden)}
        weights |= norm(CHARACTER_NORM)
    for layer in shape.layer_inputs():
        wide = 2 * hidden if layer == CHARACTER_LAYER else inner
        for part in ("query", "key", "value"):
            weights |= linear(f"{layer}.attention.self.{part}", hidden, hidden)
        weights |= linear(f"{layer}.attention.output.dense", hidden, hidden) | norm(
            f"{layer}.attention.output.LayerNorm"
        )
        weights |= linear(f"{layer}.intermediate.dense", hidden, wide) | linear(f"{layer}.output.dense", wide, hidden)
        weights |= norm(f"{layer}.output.LayerNorm")
    return weights


def numpy_bert(weights, ids, activation="gelu", characters=None):
    """Return the logits [length, labels] for the ids [length] of one text, in float64, as in the BERT paper.

    With `characters` [3, characters], see `Row`, return the logits [characters, labels].
    """
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + SHAPE.epsilon)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    if BIGRAM_TABLE in w:
        ends = [0, *ids, 0]
        rows = [w[BIGRAM_TABLE][(int(a) * BIGRAM_FACTOR + int(b)) % 61] for a, b in itertools.pairwise(ends)]
        x += np.array([np.concatenate(pair) for pair in itertools.pairwise(rows)]) @ w[BIGRAM_PROJECTION].T
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")

    def apply_layer(x, layer):
        q, k, v = (
            linear(x, f"{layer}.attention.self.{part}").reshape(len(x), SHAPE.heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        attended = linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{layer}.attention.output.dense")
        x = norm(attended + x, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = np.maximum(inner, 0) if activation == "relu" else inner * 0.5 * (1 + ERF(inner / math.sqrt(2)))
        return norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")

    for number in range(SHAPE.layers):
        x = apply_layer(x, f"encoder.layer.{number}")
    if characters is not None:
        own, owners, places = characters
        x = norm(x[owners] + w[CHARACTER_TABLE][own] + w[PLACE_TABLE][places], CHARACTER_NORM)
        x = apply_layer(x, CHARACTER_LAYER)
    return linear(x, "linear")
