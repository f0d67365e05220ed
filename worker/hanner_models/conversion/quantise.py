"""INT8 linear layers and embeddings for graph.build, and the calibration that static scales need.

Weights: symmetric, one scale per output column. Activations: either one static scale per tensor, from calibration, or
one scale per token, computed on the way. Both depend on nothing but the token itself, so that a text's scores do not
change with its neighbours in the batch; ONNX Runtime's own dynamic quantisation takes one scale over the whole batch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hanner_inference.engine.base import Batch
from hanner_models.conversion.graph import CONTRIB, Float, Graph, Shape, Weights, build

WEIGHT_RANGE = 63
"""Largest quantised weight. Seven bits: on processors without VNNI two products of eight bits overflow their sum."""


def quantise_columns(weight: NDArray[np.float32], limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise [in, out] with one symmetric scale per column; return int8 values and float32 scales [out]."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-12) / limit
    return np.clip(np.rint(weight / scales), -limit, limit).astype(np.int8), scales.astype(np.float32)


def embed_int8(graph: Graph, ids: str, table: NDArray[np.float32], name: str) -> str:
    """Look up rows of an INT8 table with one scale per row."""
    values, scales = quantise_columns(table.T, 127)
    rows = graph.node("Gather", [graph.constant(f"{name}.table", values.T), ids], f"{name}.rows")
    scale = graph.node("Gather", [graph.constant(f"{name}.scales", scales[:, None]), ids], f"{name}.scale")
    return graph.node("Mul", [graph.node("Cast", [rows], f"{name}.cast", to=TensorProto.FLOAT), scale], f"{name}.words")


@dataclass(frozen=True)
class StaticInt8:
    """One scale and zero point per activation tensor, known beforehand.

    Attributes:
        ranges: for each quantised tensor, by its name in the graph, the smallest and largest value to represent.
    """

    ranges: Mapping[str, tuple[float, float]]
    weight_range: int = WEIGHT_RANGE

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Quantise to uint8. A range that begins at 0 clamps what is below, so a ReLU before it costs nothing."""
        parameters = self._parameters(graph, name, source)
        before = graph.nodes[-1]
        if before.op_type == "Relu" and before.output[0] == source:
            graph.nodes.pop()
            source = before.input[0]
        return (graph.node("QuantizeLinear", [source, *parameters], f"{name}.quantised"), *parameters)

    def _parameters(self, graph: Graph, name: str, source: str) -> tuple[str, str]:
        low, high = min(self.ranges[source][0], 0.0), max(self.ranges[source][1], 0.0)
        scale = np.float32(max(high - low, 1e-12) / 255)
        zero = np.uint8(np.clip(np.rint(-low / scale), 0, 255))
        return graph.constant(f"{name}.scale", scale), graph.constant(f"{name}.zero", zero)

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Multiply in INT8; scales and bias are applied while the product is still in cache."""
        values, scales = quantise_columns(weight, self.weight_range)
        quantised, scale, zero = source
        inputs = [
            quantised,
            graph.constant(f"{name}.weight", values),
            scale,
            graph.constant(f"{name}.scales", scales),
            zero,
            graph.constant("weights.zero", np.int8(0)),
            graph.constant(f"{name}.bias", bias),
        ]
        return graph.node("MatMulIntegerToFloat", inputs, name, domain=CONTRIB)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Look up INT8 rows."""
        return embed_int8(graph, ids, table, name)


@dataclass(frozen=True)
class TokenInt8:
    """One symmetric scale per token, computed from the token's own values."""

    weight_range: int = WEIGHT_RANGE

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Quantise each row to uint8 around 128."""
        largest = graph.node("ReduceMax", [graph.node("Abs", [source], f"{name}.abs")], f"{name}.max", axes=[-1])
        floor = graph.constant("token.floor", np.float32(1e-9))
        largest = graph.node("Max", [largest, floor], f"{name}.largest")
        inverse = graph.node("Div", [graph.constant("token.range", np.float32(127)), largest], f"{name}.inverse")
        scale = graph.node("Mul", [largest, graph.constant("token.step", np.float32(1 / 127))], f"{name}.scale")
        scaled = graph.node("Round", [graph.node("Mul", [source, inverse], f"{name}.scaled")], f"{name}.rounded")
        shifted = graph.node("Add", [scaled, graph.constant("token.shift", np.float32(128))], f"{name}.shifted")
        return graph.node("Cast", [shifted], f"{name}.quantised", to=TensorProto.UINT8), scale

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Multiply in INT8, then apply each row's scale and the bias."""
        values, scales = quantise_columns(weight, self.weight_range)
        quantised, scale = source
        inputs = [
            quantised,
            graph.constant(f"{name}.weight", values),
            graph.constant("one", np.float32(1.0)),
            graph.constant(f"{name}.scales", scales),
            graph.constant("token.zero", np.uint8(128)),
            graph.constant("weights.zero", np.int8(0)),
        ]
        product = graph.node("MatMulIntegerToFloat", inputs, f"{name}.product", domain=CONTRIB)
        scaled = graph.node("Mul", [product, scale], f"{name}.scaled")
        return graph.node("Add", [scaled, graph.constant(f"{name}.bias", bias)], name)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Look up INT8 rows."""
        return embed_int8(graph, ids, table, name)


class _Recorded(Float):
    """FP32 layers that name every tensor which INT8 would quantise."""

    def __init__(self) -> None:
        self.sources: dict[str, None] = {}

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Note the source."""
        self.sources[source] = None
        return super().quantise(graph, name, source)


def calibrate(
    weights: Weights, shape: Shape, batches: Iterable[Batch], *, outliers: float = 0.0
) -> dict[str, tuple[float, float]]:
    """Run the FP32 graph over sample batches and return the range of every tensor that INT8 quantises.

    Args:
        weights: of the tagger.
        shape: of the encoder.
        batches: real text. Values at padded positions are left out.
        outliers: share of the values of each batch, at each end, that may fall outside the range.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for name, values in observe(weights, shape, batches):
        low, high = np.quantile(values, (outliers, 1 - outliers)) if outliers else (values.min(), values.max())
        before = ranges.get(name, (float(low), float(high)))
        ranges[name] = min(before[0], float(low)), max(before[1], float(high))
    return ranges


def observe(weights: Weights, shape: Shape, batches: Iterable[Batch]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Run the FP32 graph over sample batches and yield each tensor that INT8 quantises: its name, its values.

    Values are float32 [tokens, width], without those at padded positions.

    Raises:
        ValueError: there is no batch.
    """
    recorded = _Recorded()
    model = build(weights, shape, recorded)
    names = list(recorded.sources)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    number = -1
    for number, batch in enumerate(batches):  # noqa: B007
        mask = np.arange(batch.input_ids.shape[1])[None, :] < batch.lengths[:, None]
        feed = {"input_ids": batch.input_ids, "attention_mask": mask.astype(np.int64)}
        for name, values in zip(names, session.run(names, feed), strict=True):
            yield name, values[mask]
    if number < 0:
        raise ValueError("calibration needs at least one batch")
