"""Initial weights of the encoder: pretrained character vectors, and heads that attend to neighbours."""

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

NEIGHBOUR_OFFSETS = (-1, 1, -2, 2)
"""The neighbour that each head of the first layer attends to."""
GAIN = 1.4
"""Scale of query and key. At 1.4 a head gives its neighbour most of its weight, and can still learn otherwise."""


def load_character_vectors(
    encoder: nn.Module, tokenizer: Tokenizer, characters: list[str], vectors: NDArray[np.float16]
) -> int:
    """Copy pretrained character vectors into the embedding, scaled as in BERT's initialisation; return their width."""
    scaled = vectors.astype(np.float32)
    scaled = (scaled - scaled.mean(0)) / scaled.std() * 0.02
    table = encoder.embeddings.word_embeddings.weight
    width: int = min(scaled.shape[1], table.shape[1])
    with torch.no_grad():
        for character, vector in zip(characters, scaled, strict=False):
            index = tokenizer.token_to_id(character)
            if index is not None:
                table[index, :width] = torch.from_numpy(vector[:width])
    return width


def initialise_neighbour_attention(encoder: nn.Module, free: int) -> None:
    """Initialise the heads of the first layer so that they attend to the neighbours at NEIGHBOUR_OFFSETS.

    Positions start as sinusoids (Vaswani et al. 2017) in the dimensions from `free`, where a shift is a rotation: a
    query rotated by the offset matches the key of that neighbour. Fixed patterns of this kind are nearly as good as
    learned ones (Raganato et al. 2020), and without them the first thousands of steps are spent on learning such
    patterns. They are trained like all other weights.

    Args:
        encoder: to initialise.
        free: first dimension that the character vectors leave free.
    """
    config = encoder.config
    hidden, size = config.hidden_size, config.hidden_size // config.num_attention_heads
    pairs = min(hidden - free, size) // 2
    if pairs < 8:
        return
    rates = torch.linspace(0.03, 1.8, pairs)
    angles = torch.arange(config.max_position_embeddings)[:, None] * rates
    attention = encoder.encoder.layer[0].attention.self
    first, last = slice(free, free + pairs), slice(free + pairs, free + 2 * pairs)
    with torch.no_grad():
        positions = encoder.embeddings.position_embeddings.weight
        positions[:, first] = 0.028 * angles.sin()
        positions[:, last] = 0.028 * angles.cos()
        encoder.embeddings.word_embeddings.weight[:, free:] *= 0.25
        for head in range(config.num_attention_heads):
            turn = rates * NEIGHBOUR_OFFSETS[head % len(NEIGHBOUR_OFFSETS)]
            sine, cosine = head * size + torch.arange(pairs), head * size + pairs + torch.arange(pairs)
            columns = free + torch.arange(pairs)
            for matrix, angle in ((attention.query.weight, turn), (attention.key.weight, torch.zeros(pairs))):
                # sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b
                matrix[sine, columns] = GAIN * angle.cos()
                matrix[sine, columns + pairs] = GAIN * angle.sin()
                matrix[cosine, columns] = -GAIN * angle.sin()
                matrix[cosine, columns + pairs] = GAIN * angle.cos()
