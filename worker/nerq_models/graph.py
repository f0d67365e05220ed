"""Builds the ONNX graph of a BERT tagger straight from its weights, in FP32 or INT8. Imports onnx, no torch.

The graph is written, not exported and rewritten: no tracer, no pattern matching, the same on every version of
transformers. What each operator does is in ONNX's operator reference and ONNX Runtime's ContribOperators.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]
"""Parameters by the names of transformers' BertModel, and `linear.weight`, `linear.bias` of the head."""

_OPSET = 17
_CONTRIB = "com.microsoft"
_MASKED = np.float32(-10000.0)
"""Added to the attention scores of padding: exp() of it is exactly 0 in FP32."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not say about the encoder."""

    layers: int
    heads: int
    epsilon: float = 1e-12
    max_length: int = 512


class Linear(Protocol):
    """Writes the nodes of a linear layer, in FP32 or INT8."""

    def quantise(self, graph: "Graph", name: str, source: str) -> tuple[str, ...]:
        """Prepare `source` once for all layers that read it."""
        ...

    def multiply(self, graph: "Graph", name: str, source: tuple[str, ...], weight: NDArray[np.float32],
                 bias: NDArray[np.float32]) -> str:  # fmt: skip
        """Multiply what `quantise` returned by `weight` [in, out], add `bias` [out], return the output's name."""
        ...

    def embed(self, graph: "Graph", ids: str, table: NDArray[np.float32]) -> str:
        """Look up rows of `table` [vocabulary, hidden]."""
        ...


class Graph:
    """Collects nodes and constants; every name is given by its place in the network, so graphs can be compared."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: Sequence[str], name: str, *, domain: str = "", **attributes: object) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant once and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def model(self, labels: int) -> onnx.ModelProto:
        """Return the finished, checked model."""
        ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", "length"]) for n in INPUTS]
        logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", "length", labels])
        graph = helper.make_graph(self.nodes, "nerq", ids, [logits, *self.outputs], list(self.constants.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="nerq")


INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"


class Float:
    """Linear layers in FP32: the reference."""

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Leave the source as it is."""
        del graph, name
        return (source,)

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Add a MatMul and an Add."""
        product = graph.node("MatMul", [source[0], graph.constant(f"{name}.weight", weight)], f"{name}.product")
        return graph.node("Add", [product, graph.constant(f"{name}.bias", bias)], name)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32]) -> str:
        """Gather rows of the FP32 table."""
        return graph.node("Gather", [graph.constant("embeddings.table", table), ids], "embeddings.words")


def build(weights: Weights, shape: Shape, linear: Linear) -> onnx.ModelProto:
    """Build input_ids and attention_mask, int64 [rows, length] -> logits, float32 [rows, length, labels]."""
    graph = Graph()
    states = _embeddings(graph, weights, shape, linear)
    mask = _mask(graph)
    for layer in range(shape.layers):
        states = _layer(graph, weights, f"encoder.layer.{layer}", states, mask, shape, linear)
    # The head is a few columns wide: INT8 would save nothing there and cost precision where it counts.
    logits = graph.node("MatMul", [states, graph.constant("linear.weight", weights["linear.weight"].T)], "linear")
    graph.node("Add", [logits, graph.constant("linear.bias", weights["linear.bias"])], OUTPUT)
    return graph.model(len(weights["linear.bias"]))


def _embeddings(graph: Graph, weights: Weights, shape: Shape, linear: Linear) -> str:
    words = linear.embed(graph, "input_ids", weights["embeddings.word_embeddings.weight"])
    # All tokens are of type 0: its vector is added to the positions once, here.
    positions = weights["embeddings.position_embeddings.weight"][: shape.max_length]
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    table = graph.constant("embeddings.positions", positions)
    size = graph.node("Shape", ["input_ids"], "embeddings.length", start=1, end=2)
    zero = graph.constant("zero", np.array([0], dtype=np.int64))
    used = graph.node("Slice", [table, zero, size, zero], "embeddings.used")
    summed = graph.node("Add", [words, used], "embeddings.sum")
    return _norm(graph, weights, "embeddings.LayerNorm", summed, shape)


def _mask(graph: Graph) -> str:
    """Return what is added to the attention scores: 0 for tokens, _MASKED for padding, [rows, 1, 1, length]."""
    kept = graph.node("Cast", ["attention_mask"], "mask.kept", to=TensorProto.FLOAT)
    missing = graph.node("Sub", [graph.constant("one", np.float32(1.0)), kept], "mask.missing")
    bias = graph.node("Mul", [missing, graph.constant("masked", _MASKED)], "mask.bias")
    axes = graph.constant("mask.axes", np.array([1, 2], dtype=np.int64))
    return graph.node("Unsqueeze", [bias, axes], "mask")


def _layer(
    graph: Graph, weights: Weights, name: str, states: str, mask: str, shape: Shape, linear: Linear
) -> str:
    source = linear.quantise(graph, f"{name}.input", states)
    context = _attention(graph, weights, f"{name}.attention.self", source, mask, shape, linear)
    context_source = linear.quantise(graph, f"{name}.context", context)
    attended = _multiply(graph, weights, f"{name}.attention.output.dense", context_source, linear)
    states = _norm(graph, weights, f"{name}.attention.output.LayerNorm", attended, shape, skip=states)
    source = linear.quantise(graph, f"{name}.attended", states)
    inner = _multiply(graph, weights, f"{name}.intermediate.dense", source, linear)
    active = graph.node("Gelu", [inner], f"{name}.intermediate.gelu", domain=_CONTRIB)
    active_source = linear.quantise(graph, f"{name}.active", active)
    outer = _multiply(graph, weights, f"{name}.output.dense", active_source, linear)
    return _norm(graph, weights, f"{name}.output.LayerNorm", outer, shape, skip=states)


def _attention(
    graph: Graph, weights: Weights, name: str, source: tuple[str, ...], mask: str, shape: Shape, linear: Linear
) -> str:
    """Self-attention with Q, K and V in one product; the scores' scale is folded into Q."""
    hidden = len(weights[f"{name}.query.bias"])
    scale = np.float32(1 / np.sqrt(hidden // shape.heads))
    parts = [(weights[f"{name}.{part}.weight"].T, weights[f"{name}.{part}.bias"]) for part in ("query", "key", "value")]
    parts[0] = (parts[0][0] * scale, parts[0][1] * scale)
    weight, bias = np.concatenate([w for w, _ in parts], axis=1), np.concatenate([b for _, b in parts])
    product = linear.multiply(graph, f"{name}.qkv", source, weight, bias)
    heads = graph.constant("attention.heads", np.array([0, 0, 3, shape.heads, hidden // shape.heads], dtype=np.int64))
    split = graph.node("Reshape", [product, heads], f"{name}.split")
    turned = graph.node("Transpose", [split], f"{name}.turned", perm=[2, 0, 3, 1, 4])
    query, key, value = (
        graph.node("Gather", [turned, graph.constant(f"part.{i}", np.int64(i))], f"{name}.{part}", axis=0)
        for i, part in enumerate(("query", "key", "value"))
    )
    scores = graph.node("FusedMatMul", [query, key], f"{name}.scores", domain=_CONTRIB, transB=1)
    masked = graph.node("Add", [scores, mask], f"{name}.masked")
    shares = graph.node("Softmax", [masked], f"{name}.shares", axis=-1)
    mixed = graph.node("MatMul", [shares, value], f"{name}.mixed")
    back = graph.node("Transpose", [mixed], f"{name}.back", perm=[0, 2, 1, 3])
    whole = graph.constant("attention.whole", np.array([0, 0, hidden], dtype=np.int64))
    return graph.node("Reshape", [back, whole], f"{name}.context")


def _multiply(graph: Graph, weights: Weights, name: str, source: tuple[str, ...], linear: Linear) -> str:
    return linear.multiply(graph, name, source, weights[f"{name}.weight"].T, weights[f"{name}.bias"])


def _norm(graph: Graph, weights: Weights, name: str, source: str, shape: Shape, *, skip: str | None = None) -> str:
    """Normalise `source`, or `source` + `skip`. ONNX Runtime's SkipLayerNormalization takes ten times as long."""
    parameters = [graph.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias")]
    if skip is not None:
        source = graph.node("Add", [source, skip], f"{name}.sum")
    return graph.node("LayerNormalization", [source, *parameters], name, axis=-1, epsilon=shape.epsilon)
