"""Smooth outliers in activations before quantisation, for any INT8 layers. This is SmoothQuant (Xiao et al. 2023).

A few channels of a BERT's LayerNorm outputs are many times larger than the others, and one scale for all of them leaves
few steps for the others. Each channel is divided by a factor, and the rows of the weights that read it are multiplied
by the same factor. The product does not change, and both sides have smaller ranges. Where the columns of the layer
before can be divided instead, smoothing costs nothing at run time: those of V, because the context of an attention is
a weighted mean of its values, and those before a ReLU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hanner_models.conversion.graph import Graph, Linear, context_name
from hanner_models.conversion.quantise import Calibration
from hanner_models.source.architecture import EncoderShape, Weights

MIGRATION_STRENGTHS: dict[str, tuple[float, ...]] = {"smooth": (0.7, 0.8), "token": (0.5,)}
"""By scheme, shares of an outlier that move from activations to weights, from 0 to 1. Which of two is better depends on
the model, so both are tried. Measured, see engine.md."""
_FLOOR = 1e-5
_PRODUCERS = {context_name(""): ".value", ".intermediate.relu": ".intermediate.dense"}
"""By the end of a tensor's name, that of the linear layer whose columns are divided instead of the tensor."""


@dataclass(frozen=True)
class SmoothQuant:
    """Linear layers with smoothed inputs.

    Attributes:
        linear: the layers that quantise and multiply.
        factors: the divisor of each channel, by the name of the quantised tensor in the graph.
    """

    linear: Linear
    factors: Mapping[str, NDArray[np.float32]]
    _used: dict[tuple[str, ...], NDArray[np.float32]] = field(default_factory=dict)

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Divide each channel by its factor, unless its producer has done so, then quantise."""
        factors, smoothed = self.factors[source], smoothed_name(source)
        if smoothed != source:
            graph.node("Mul", [source, graph.constant(factor_name(source), np.float32(1) / factors)], smoothed)
        prepared = self.linear.quantise(graph, name, smoothed)
        self._used[prepared] = factors
        return prepared

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Multiply by weights whose rows are multiplied by the factors, and whose columns may be divided by others."""
        weight = weight * self._used[source][:, None]
        for tensor, producer in _PRODUCERS.items():
            divisor = self.factors.get(name.removesuffix(producer) + tensor) if name.endswith(producer) else None
            if divisor is not None:
                weight, bias = weight / divisor, bias / divisor
        return self.linear.multiply(graph, name, source, weight, bias)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Look up rows; embeddings are not smoothed."""
        return self.linear.embed(graph, ids, table, name)


def smoothed_name(source: str) -> str:
    """Return the name of a tensor after smoothing; it is the same if the tensor is smooth when it is computed."""
    return source if source.endswith(tuple(_PRODUCERS)) else f"{source}.smooth"


def factor_name(source: str) -> str:
    """Return the name of the constant that a tensor is multiplied by to smooth it."""
    return f"{source}.smooth.by"


def smooth(
    calibration: Calibration, weights: Weights, shape: EncoderShape, strength: float
) -> tuple[dict[str, NDArray[np.float32]], Calibration]:
    """Return the factors of all channels, and the calibration of the smoothed tensors.

    Args:
        calibration: of the tensors before smoothing.
        weights: of the tagger.
        shape: of the encoder.
        strength: see `MIGRATION_STRENGTHS`.
    """
    reading_weights = _reading_weights(weights, shape)
    factors = {}
    lows, highs, grams = {}, {}, {}
    for name, low in calibration.lows.items():
        high = calibration.highs[name]
        largest = np.maximum(-low, high)
        # The range of a ReLU's channel that was 0 for all samples is unknown.
        largest = np.where(largest > _FLOOR, largest, max(float(np.median(largest)), _FLOOR))
        read = np.maximum(np.abs(reading_weights[name]).max(axis=0), _FLOOR)
        factor = largest**strength / read ** (1 - strength)
        factor = factors[name] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        smoothed = smoothed_name(name)
        lows[smoothed], highs[smoothed] = low / factor, high / factor
        grams[smoothed] = (calibration.grams[name] / np.outer(factor, factor)).astype(np.float32)
    return factors, Calibration(lows, highs, grams)


def _reading_weights(weights: Weights, shape: EncoderShape) -> dict[str, NDArray[np.float32]]:
    """Return the weights [outputs, channels] that read each tensor that INT8 quantises, by the tensor's name."""
    readers = {}
    for layer, states in shape.layer_inputs().items():
        attention = f"{layer}.attention"
        readers[states] = np.concatenate(
            [weights[f"{attention}.self.{part}.weight"] for part in ("query", "key", "value")]
        )
        readers[context_name(f"{attention}.self")] = weights[f"{attention}.output.dense.weight"]
        readers[f"{attention}.output.LayerNorm"] = weights[f"{layer}.intermediate.dense.weight"]
        readers[f"{layer}.intermediate.{shape.activation}"] = weights[f"{layer}.output.dense.weight"]
    return readers
