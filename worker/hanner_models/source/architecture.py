"""The architectures that can be converted: BERT's encoder, optionally with bigram embeddings. No I/O.

The names of the parameters are those of transformers' BertModel, with `linear.*` for the head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["gelu", "relu"]
Weights = Mapping[str, NDArray[np.float32]]
"""Parameters by name; a linear layer's weight is [outputs, inputs]."""

BIGRAM_FACTOR = 31_337
"""A prime. The bigram (a, b) has row (a * BIGRAM_FACTOR + b) % rows of the bigram table."""
BIGRAM_TABLE, BIGRAM_PROJECTION = "embeddings.bigrams.table.weight", "embeddings.bigrams.projection.weight"


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The properties of an encoder that do not follow from its weights.

    Attributes:
        layers: number of transformer layers.
        heads: attention heads per layer.
        epsilon: of the layer normalisation.
        max_length: number of positions, special tokens included.
        bigrams: whether tokens also have bigram embeddings, see `hanner_models.conversion.torch_model`.
        activation: between the two feed-forward layers.
    """

    layers: int
    heads: int
    epsilon: float = 1e-12
    max_length: int = 512
    bigrams: bool = False
    activation: Activation = "gelu"


def parameter_names(shape: EncoderShape) -> set[str]:
    """Return the names of all parameters of a tagger, without those of its CRF."""
    norms = {"embeddings.LayerNorm"}
    dense = {"linear"}
    for layer in (f"encoder.layer.{number}" for number in range(shape.layers)):
        norms |= {f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"}
        dense |= {f"{layer}.attention.self.{part}" for part in ("query", "key", "value")}
        dense |= {f"{layer}.{part}" for part in ("attention.output.dense", "intermediate.dense", "output.dense")}
    tables = {f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    if shape.bigrams:
        tables |= {BIGRAM_TABLE, BIGRAM_PROJECTION}
    return tables | {f"{name}.{part}" for name in norms | dense for part in ("weight", "bias")}
