"""BERT's layers over rows without padding, for training on a CPU. Imports torch.

The rows of a batch have different lengths, and most of the time goes into products that treat each unit (a piece or a
character) on its own. So these run on all units one after the other; only attention runs on padded rows. In mixed
precision all states have the lower one, and dropout needs no random number per value.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel
from transformers.models.bert.modeling_bert import BertLayer

_POOL = 1 << 23
"""Values of a dropout's mask that are drawn in advance, more than the states of 16,384 units of width 384."""
_MASKED = -1e4
"""Added to the attention scores of padding; its weight is 0 then."""


class Packing:
    """Where the units of padded rows are, and where padded rows find their units.

    Args:
        inside: bool [rows, length], False where padded; each row begins with its units.
    """

    def __init__(self, inside: Tensor) -> None:
        self.shape = inside.shape
        self._inside = inside
        flat = inside.flatten()
        self._places = flat.nonzero().squeeze(1)
        self._units = (flat.cumsum(0) - 1).clamp(min=0)
        counts = inside.sum(1)
        self._first = counts.cumsum(0) - counts

    def pack(self, padded: Tensor) -> Tensor:
        """Return the units of padded values: [rows, length, …] to [units, …]."""
        return padded.flatten(0, 1).index_select(0, self._places)

    def pad(self, packed: Tensor) -> Tensor:
        """Return padded rows: [units, …] to [rows, length, …]; what padding has is undefined, but finite."""
        return packed.index_select(0, self._units).unflatten(0, self.shape)

    def units(self, positions: Tensor) -> Tensor:
        """Return the numbers of the units at positions of each row: int [rows, any] of both."""
        return positions + self._first[:, None]

    def attention_bias(self, dtype: torch.dtype) -> Tensor:
        """Return what hides padding when it is added to attention scores: [rows, 1, 1, length]."""
        return torch.zeros(self.shape, dtype=dtype, device=self._inside.device).masked_fill_(~self._inside, _MASKED)[
            :, None, None
        ]


class PooledDropout(nn.Module):
    """Dropout with a random part of a large mask that is drawn once, instead of a random number per value.

    On a CPU, drawing the numbers takes a tenth of a training step.

    Args:
        share: of the values that are dropped.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        kept = torch.rand(_POOL if share else 0, generator=torch.Generator().manual_seed(0)) >= share
        self.register_buffer("mask", kept.to(torch.bfloat16), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return values of which some are 0 and the others larger; in evaluation they are unchanged."""
        if not self.training or not self.share:
            return values
        mask: Tensor = self.mask
        if values.numel() > len(mask):
            return functional.dropout(values, self.share)
        start = int(torch.randint(len(mask) - values.numel() + 1, ()))
        chosen = mask[start : start + values.numel()].view(values.shape).to(values.dtype)
        return values * chosen.mul(1 / (1 - self.share))


def embed(encoder: BertModel, pieces: Tensor, packing: Packing, dropout: nn.Module) -> Tensor:
    """Return the input of the first layer, in the type of autocast: [rows, length] to [units, hidden]."""
    tables = encoder.embeddings
    positions = torch.arange(pieces.shape[1], device=pieces.device).expand(pieces.shape)
    summed = (
        tables.word_embeddings(packing.pack(pieces))
        + tables.position_embeddings(packing.pack(positions))
        + tables.token_type_embeddings.weight[0]
    )
    embedded: Tensor = dropout(to_autocast(tables.LayerNorm(summed)))
    return embedded


def run_layer(layer: BertLayer, states: Tensor, packing: Packing, dropout: nn.Module) -> Tensor:
    """Return the states [units, hidden] after a layer."""
    attended = layer.attention.output.dense(_attend(layer, states, packing))
    middle = layer.attention.output.LayerNorm(dropout(attended) + states)
    wide = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(middle))
    after: Tensor = layer.output.LayerNorm(dropout(layer.output.dense(wide)) + middle)
    return after


def _attend(layer: BertLayer, states: Tensor, packing: Packing) -> Tensor:
    """Return the output of self-attention [units, hidden], before its linear layer."""
    part = layer.attention.self
    query, key, value = (
        packing.pad(module(states)).unflatten(-1, (part.num_attention_heads, -1)).transpose(1, 2)
        for module in (part.query, part.key, part.value)
    )  # each [rows, heads, length, width]
    scores = (query * (1 / math.sqrt(part.attention_head_size))) @ key.transpose(-1, -2)
    weights = (scores + packing.attention_bias(scores.dtype)).softmax(-1)
    return packing.pack((weights @ value).transpose(1, 2).flatten(-2))


def to_autocast(states: Tensor) -> Tensor:
    """Return states in the type of autocast, if it is enabled."""
    device = states.device.type
    return states.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else states
