"""Takes the outliers out of activations before they are quantised: SmoothQuant (Xiao et al. 2023), for any INT8 layers.

A few channels of a BERT's LayerNorm outputs are many times as large as the others, and one scale for all of them leaves
the others a few steps. Each channel is divided by a factor, and the rows of the weights that read it are multiplied by
it: the product is the same, and both sides have milder ranges.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hanner_inference.engine.base import Batch
from hanner_models.conversion.graph import Graph, Linear, Shape, Weights
from hanner_models.conversion.quantise import observe

SMOOTHING = {"smooth": 0.7, "token": 0.5}
"""By scheme, the share of a channel's outlier that moves into the weights: 0 none, 1 all. Measured, see engine.md."""
_FLOOR = 1e-5


@dataclass(frozen=True)
class Smoothing:
    """What calibration found.

    Attributes:
        factors: for each tensor that INT8 quantises, by its name in the graph, what its channels are divided by.
        ranges: the smallest and largest value after that, by the name of the smoothed tensor.
    """

    factors: Mapping[str, NDArray[np.float32]]
    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Smooth:
    """Linear layers behind smoothed inputs.

    Attributes:
        linear: quantises and multiplies.
        factors: see `Smoothing`.
    """

    linear: Linear
    factors: Mapping[str, NDArray[np.float32]]
    _used: dict[tuple[str, ...], NDArray[np.float32]] = field(default_factory=dict)

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Divide each channel by its factor, then quantise."""
        factors = self.factors[source]
        inverse = graph.constant(f"{smoothed(source)}.by", np.float32(1) / factors)
        prepared = self.linear.quantise(graph, name, graph.node("Mul", [source, inverse], smoothed(source)))
        self._used[prepared] = factors
        return prepared

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Multiply by weights whose rows have taken the factors over."""
        return self.linear.multiply(graph, name, source, weight * self._used[source][:, None], bias)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Look up rows as the layers behind do."""
        return self.linear.embed(graph, ids, table, name)


def smoothed(source: str) -> str:
    """Return the name of a tensor after smoothing."""
    return f"{source}.smooth"


def calibrate_smooth(weights: Weights, shape: Shape, batches: Iterable[Batch], *, strength: float) -> Smoothing:
    """Run the FP32 graph over sample batches and return the factors of all channels, and the ranges behind them.

    Args:
        weights: of the tagger.
        shape: of the encoder.
        batches: real text.
        strength: see `SMOOTHING`.

    Raises:
        ValueError: there is no batch.
    """
    lows: dict[str, NDArray[np.float32]] = {}
    highs: dict[str, NDArray[np.float32]] = {}
    for name, values in observe(weights, shape, batches):
        low, high = values.min(axis=0), values.max(axis=0)
        lows[name] = np.minimum(lows.get(name, low), low)
        highs[name] = np.maximum(highs.get(name, high), high)
    readers = _readers(weights, shape)
    factors, ranges = {}, {}
    for name, low in lows.items():
        largest = np.maximum(-low, highs[name])
        # A ReLU's channel that the sample never woke says nothing of its range.
        largest = np.where(largest > _FLOOR, largest, max(float(np.median(largest)), _FLOOR))
        read = np.maximum(np.abs(readers[name]).max(axis=0), _FLOOR)
        factor = largest**strength / read ** (1 - strength)
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        factors[name] = factor
        ranges[smoothed(name)] = float((low / factor).min()), float((highs[name] / factor).max())
    return Smoothing(factors, ranges)


def _readers(weights: Weights, shape: Shape) -> dict[str, NDArray[np.float32]]:
    """Return, for each tensor that INT8 quantises, the weights [outputs, channels] that read it."""
    readers = {}
    states = "embeddings.LayerNorm"
    for layer in (f"encoder.layer.{number}" for number in range(shape.layers)):
        attention = f"{layer}.attention"
        readers[states] = np.concatenate(
            [weights[f"{attention}.self.{part}.weight"] for part in ("query", "key", "value")]
        )
        readers[f"{attention}.self.context"] = weights[f"{attention}.output.dense.weight"]
        readers[f"{attention}.output.LayerNorm"] = weights[f"{layer}.intermediate.dense.weight"]
        readers[f"{layer}.intermediate.{shape.activation}"] = weights[f"{layer}.output.dense.weight"]
        states = f"{layer}.output.LayerNorm"
    return readers
