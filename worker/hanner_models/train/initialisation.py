"""Where the encoder's weights start: character vectors, and heads that look at their neighbours from the first step."""

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

OFFSETS = (-1, 1, -2, 2)
"""Which neighbour each head of the first layer looks at."""
GAIN = 1.4
"""Of query and key: at 1.4 a head gives most of its weight to its neighbour, and can still be taught otherwise."""


def take_vectors(encoder: nn.Module, tokenizer: Tokenizer, characters: list[str], vectors: NDArray[np.float16]) -> int:
    """Put pretrained character vectors, scaled as BERT's initialisation, into the table; return their width."""
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


def look_at_neighbours(encoder: nn.Module, free: int) -> None:
    """Give the first layer's heads the neighbours at OFFSETS to look at.

    Positions start as sinusoids (Vaswani et al. 2017) in the dimensions from `free` on, where a shift is a rotation:
    a query turned by the offset meets the key of that neighbour. Fixed patterns of this kind lose little against
    learned ones (Raganato et al. 2020), and learning them is what the first thousands of steps are spent on; from here
    they are trained like all else.
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
            turn = rates * OFFSETS[head % len(OFFSETS)]
            sine, cosine = head * size + torch.arange(pairs), head * size + pairs + torch.arange(pairs)
            columns = free + torch.arange(pairs)
            for matrix, angle in ((attention.query.weight, turn), (attention.key.weight, torch.zeros(pairs))):
                # sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b
                matrix[sine, columns] = GAIN * angle.cos()
                matrix[sine, columns + pairs] = GAIN * angle.sin()
                matrix[cosine, columns] = -GAIN * angle.sin()
                matrix[cosine, columns + pairs] = GAIN * angle.cos()
