"""INT8 linear layers and embeddings for graph.build, and the calibration of static scales.

Weights have one symmetric scale per output column. Activations have one static scale per tensor, from calibration, or
one dynamic scale per token. Neither depends on other tokens, so a text's scores do not depend on the rest of the batch;
ONNX Runtime's own dynamic quantisation uses one scale for the whole batch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import graph_inputs
from hanner_models.conversion.graph import CONTRIB, Fp32, Graph, build
from hanner_models.conversion.rounding import round_columns
from hanner_models.source.architecture import CHARACTER_LAYER, CHARACTER_NORM, EncoderShape, Weights

_OF_CHARACTERS = (CHARACTER_NORM, f"{CHARACTER_LAYER}.")
"""Beginnings of the names of tensors that have a row per character instead of one per token."""
_GRAM_STRIDE = 3
"""Every third token is enough for Gram matrices, which take most of the time of a calibration."""
WEIGHT_RANGE = 63
"""Largest quantised weight. Seven bits, because two products of eight bits overflow on processors without VNNI."""


def embed_int8(graph: Graph, ids: str, table: NDArray[np.float32], name: str) -> str:
    """Look up rows of an INT8 table with one scale per row."""
    values, scales = round_columns(table.T, 127)
    rows = graph.node("Gather", [graph.constant(f"{name}.table", values.T), ids], f"{name}.rows")
    scale = graph.node("Gather", [graph.constant(f"{name}.scales", scales[:, None]), ids], f"{name}.scale")
    return graph.node("Mul", [graph.node("Cast", [rows], f"{name}.cast", to=TensorProto.FLOAT), scale], f"{name}.words")


@dataclass(frozen=True)
class StaticInt8:
    """Linear layers with one static scale and zero point per activation tensor.

    Attributes:
        ranges: the smallest and largest value to represent, by the name of the quantised tensor in the graph.
        weight_range: largest quantised weight.
        grams: see `Calibration`; weights that read other tensors are rounded to the nearest value.
    """

    ranges: Mapping[str, tuple[float, float]]
    weight_range: int = WEIGHT_RANGE
    grams: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Quantise to uint8. A range that starts at 0 clamps negative values, so a preceding ReLU is removed."""
        parameters = self._parameters(graph, name, source)
        self._sources[f"{name}.quantised"] = source
        previous = graph.nodes[-1]
        if previous.op_type == "Relu" and previous.output[0] == source:
            graph.nodes.pop()
            source = previous.input[0]
        return (graph.node("QuantizeLinear", [source, *parameters], f"{name}.quantised"), *parameters)

    def _parameters(self, graph: Graph, name: str, source: str) -> tuple[str, str]:
        low, high = min(self.ranges[source][0], 0.0), max(self.ranges[source][1], 0.0)
        scale = np.float32(max(high - low, 1e-12) / 255)
        zero = np.uint8(np.clip(np.rint(-low / scale), 0, 255))
        return graph.constant(f"{name}.scale", scale), graph.constant(f"{name}.zero", zero)

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Multiply in INT8; the same operator applies scales and bias."""
        quantised, scale, zero = source
        values, scales = round_columns(weight, self.weight_range, self.grams.get(self._sources[quantised]))
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
    """Linear layers with one symmetric scale per token, computed from the token's own values.

    Attributes:
        weight_range: largest quantised weight.
        grams: see `StaticInt8`.
    """

    weight_range: int = WEIGHT_RANGE
    grams: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Quantise each row to uint8 around 128."""
        self._sources[f"{name}.quantised"] = source
        axis = graph.constant("token.axis", np.array([-1], dtype=np.int64))
        largest = graph.node("ReduceMax", [graph.node("Abs", [source], f"{name}.abs"), axis], f"{name}.max")
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
        """Multiply in INT8, then apply the scale of each row and the bias."""
        quantised, scale = source
        values, scales = round_columns(weight, self.weight_range, self.grams.get(self._sources[quantised]))
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


class _RecordingFp32(Fp32):
    """FP32 layers that record the name of every tensor that INT8 quantises."""

    def __init__(self) -> None:
        self.sources: dict[str, None] = {}

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Record the source and return it unchanged."""
        self.sources[source] = None
        return super().quantise(graph, name, source)


@dataclass(frozen=True)
class Calibration:
    """The activations of real texts, by the name of each tensor that INT8 quantises.

    Attributes:
        lows: float32 [channels], the smallest value of each channel.
        highs: float32 [channels], the largest one.
        grams: float32 [channels, channels], sums of the products of two channels, see `round_columns`.
    """

    lows: Mapping[str, NDArray[np.float32]]
    highs: Mapping[str, NDArray[np.float32]]
    grams: Mapping[str, NDArray[np.float32]]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the smallest and the largest value of each tensor."""
        return {name: (float(low.min()), float(self.highs[name].max())) for name, low in self.lows.items()}


def calibrate(weights: Weights, shape: EncoderShape, batches: Iterable[Batch]) -> Calibration:
    """Return the activations of sample batches, measured by running the FP32 graph.

    Args:
        weights: of the tagger.
        shape: of the encoder.
        batches: of real texts. Values at padding are ignored.

    Raises:
        ValueError: there are no batches.
    """
    lows: dict[str, NDArray[np.float32]] = {}
    highs: dict[str, NDArray[np.float32]] = {}
    grams: dict[str, NDArray[np.float32]] = {}
    for name, values in run_fp32(weights, shape, batches):
        low, high = values.min(axis=0), values.max(axis=0)
        lows[name] = np.minimum(lows.get(name, low), low)
        highs[name] = np.maximum(highs.get(name, high), high)
        some = values[::_GRAM_STRIDE]
        grams[name] = grams.get(name, np.float32(0)) + some.T @ some
    return Calibration(lows, highs, grams)


def run_fp32(
    weights: Weights, shape: EncoderShape, batches: Iterable[Batch]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Run the FP32 graph on sample batches; yield the name and the values of each tensor that INT8 quantises.

    Values are float32 [tokens, width], without those at padding.

    Raises:
        ValueError: there are no batches.
    """
    recording = _RecordingFp32()
    model = build(weights, shape, recording)
    names = list(recording.sources)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    number = -1
    for number, batch in enumerate(batches):  # noqa: B007
        feed = graph_inputs(batch)
        for name, values in zip(names, session.run(names, feed), strict=True):
            mask = feed["character_mask" if name.startswith(_OF_CHARACTERS) else "attention_mask"]
            yield name, values[mask == 1]
    if number < 0:
        raise ValueError("calibration needs at least one batch")
