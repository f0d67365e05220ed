"""Read the weights of a BERT tagger from a graph that graph.build wrote. Imports onnx, not torch.

Constants are named after their parameters. INT8 values are multiplied by their scales, so the result has the precision
of the graph. Factors that smoothquant.py moved into the weights are removed, except those that cancel out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hanner_models.conversion.smoothquant import factor_name
from hanner_models.source.architecture import (
    BIGRAM_PROJECTION,
    BIGRAM_TABLE,
    CHARACTER_NORM,
    CHARACTER_TABLE,
    PLACE_TABLE,
    Activation,
    EncoderShape,
)

_SOURCES = {
    "attention.output.dense": "attention.self.context",
    "intermediate.dense": "attention.output.LayerNorm",
    "output.dense": "intermediate.{activation}",
}
"""The input tensor of each linear layer, both relative to the encoder layer."""


class UnsupportedGraph(ValueError):  # noqa: N818 - its name describes the error
    """The graph was not written by graph.build."""


def read_weights(model: onnx.ModelProto) -> tuple[dict[str, NDArray[np.float32]], EncoderShape]:
    """Return the weights by the names of transformers' BertModel, with `linear.*` for the head, and the shape.

    The vector of token type 0 is included in the position embeddings; the only token type is zero.

    Raises:
        UnsupportedGraph: a constant is missing; the message names it and has no subject, the caller adds it.
    """
    return _Reader({each.name: each for each in model.graph.initializer}, model).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    constants: Mapping[str, onnx.TensorProto]
    model: onnx.ModelProto

    def read(self) -> tuple[dict[str, NDArray[np.float32]], EncoderShape]:
        positions = self._array("embeddings.positions")
        heads = int(self._attribute("Attention", "q_num_heads"))
        epsilon = float(self._attribute("LayerNormalization", "epsilon"))
        bigrams, characters = (f"{name}.table" in self.constants for name in ("embeddings.bigrams", "characters"))
        layers = self._layers() - characters
        shape = EncoderShape(layers, heads, epsilon, len(positions), bigrams, self._activation(), characters=characters)
        weights = {
            "embeddings.word_embeddings.weight": self._table("embeddings"),
            "embeddings.position_embeddings.weight": positions,
            "embeddings.token_type_embeddings.weight": np.zeros((1, positions.shape[1]), dtype=np.float32),
            **self._plain("embeddings.LayerNorm"),
            **self._dense("linear", ""),  # the head is never smoothed
        }
        if bigrams:
            weights[BIGRAM_TABLE] = self._table("embeddings.bigrams")
            weights[BIGRAM_PROJECTION] = self._array("embeddings.bigrams.projection").T
        if characters:
            weights |= self._plain(CHARACTER_NORM)
            weights |= {CHARACTER_TABLE: self._table("characters"), PLACE_TABLE: self._table("places")}
        for layer, states in shape.layer_inputs().items():
            weights |= self._attention(f"{layer}.attention.self", states, shape.heads)
            for part in ("attention.output", "output"):
                weights |= self._plain(f"{layer}.{part}.LayerNorm")
            for part, source in _SOURCES.items():
                weights |= self._dense(f"{layer}.{part}", f"{layer}.{source.format(activation=shape.activation)}")
        return weights, shape

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self.constants:
            raise UnsupportedGraph(f"has no constant {name}")
        return numpy_helper.to_array(self.constants[name])

    def _layers(self) -> int:
        return sum(name.endswith(".attention.self.query.weight") for name in self.constants)

    def _attribute(self, operator: str, name: str) -> Any:
        """Return an attribute of the first node of this operator."""
        for node in self.model.graph.node:
            if node.op_type == operator:
                return next(helper.get_attribute_value(each) for each in node.attribute if each.name == name)
        raise UnsupportedGraph(f"has no {operator}")

    def _activation(self) -> Activation:
        # With static scales, a ReLU is part of the quantisation and has no node.
        return "gelu" if any(node.op_type == "Gelu" for node in self.model.graph.node) else "relu"

    def _table(self, name: str) -> NDArray[np.float32]:
        table: NDArray[np.float32] = self._array(f"{name}.table")
        if table.dtype == np.int8:
            table = table * self._array(f"{name}.scales")
        return table

    def _plain(self, name: str) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.{part}": self._array(f"{name}.{part}") for part in ("weight", "bias")}

    def _matrix(self, name: str, source: str) -> NDArray[np.float32]:
        """Return the weight [in, out] of a linear layer that reads the tensor `source`."""
        weight: NDArray[np.float32] = self._array(f"{name}.weight")
        if weight.dtype == np.int8:
            weight = weight * self._array(f"{name}.scales")
        if (inverse := factor_name(source)) in self.constants:
            weight = weight * self._array(inverse)[:, None]
        return weight

    def _dense(self, name: str, source: str) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.weight": self._matrix(name, source).T, f"{name}.bias": self._array(f"{name}.bias")}

    def _attention(self, name: str, source: str, heads: int) -> dict[str, NDArray[np.float32]]:
        """Return Q, K and V, without the scale of the scores, which is folded into Q."""
        weights = self._dense(f"{name}.query", source)
        scale = np.float32(np.sqrt(len(weights[f"{name}.query.bias"]) // heads))
        scaled = {part: value * scale for part, value in weights.items()}
        return scaled | self._dense(f"{name}.key", source) | self._dense(f"{name}.value", source)
