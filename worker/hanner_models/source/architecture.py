"""The architectures that can be converted: BERT's encoder, optionally with bigram embeddings or a character layer.

The names of the parameters are those of transformers' BertModel, with `linear.*` for the head. A model that labels
characters reads word pieces with the encoder; each character then gets the state of its piece, a vector of its own and
one for its place in the piece (`characters`, `places`), which are normalised (`norm`) and pass one more layer (`top`).
No I/O.
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
CHARACTER_TABLE, PLACE_TABLE = "characters.weight", "places.weight"
CHARACTER_NORM, CHARACTER_LAYER = "norm", "top"
WORD_TABLE = "embeddings.word_embeddings.weight"
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
        characters: whether the model labels characters instead of tokens, with one more layer for them.
    """

    layers: int
    heads: int
    epsilon: float = 1e-12
    max_length: int = 512
    bigrams: bool = False
    activation: Activation = "gelu"
    characters: bool = False

    def layer_inputs(self) -> dict[str, str]:
        """Return the name of each transformer layer, in order, with the name of the tensor that it reads."""
        inputs, states = {}, "embeddings.LayerNorm"
        for layer in (f"encoder.layer.{number}" for number in range(self.layers)):
            inputs[layer] = states
            states = f"{layer}.output.LayerNorm"
        return inputs | ({CHARACTER_LAYER: CHARACTER_NORM} if self.characters else {})


def parameter_names(shape: EncoderShape) -> set[str]:
    """Return the names of all parameters of a tagger, without those of its CRF."""
    norms = {"embeddings.LayerNorm"}
    dense = {"linear"}
    for layer in shape.layer_inputs():
        norms |= {f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"}
        dense |= {f"{layer}.attention.self.{part}" for part in ("query", "key", "value")}
        dense |= {f"{layer}.{part}" for part in ("attention.output.dense", "intermediate.dense", "output.dense")}
    tables = {f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    if shape.bigrams:
        tables |= {BIGRAM_TABLE, BIGRAM_PROJECTION}
    if shape.characters:
        tables |= {CHARACTER_TABLE, PLACE_TABLE}
        norms.add(CHARACTER_NORM)
    return tables | {f"{name}.{part}" for name in norms | dense for part in ("weight", "bias")}
