"""Build the ONNX graph of a BERT tagger directly from its weights, in FP32 or INT8. Imports onnx, not torch.

The graph is not exported and rewritten: there is no tracer and no pattern matching, and it is the same for every
version of transformers. The operators are described in ONNX's operator reference and in ONNX Runtime's
ContribOperators.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hanner_inference.engine.onnx import CHARACTER_INPUTS, INPUTS
from hanner_models.source.architecture import (
    BIGRAM_FACTOR,
    BIGRAM_PROJECTION,
    BIGRAM_TABLE,
    CHARACTER_LAYER,
    CHARACTER_NORM,
    CHARACTER_TABLE,
    PLACE_TABLE,
    EncoderShape,
    Weights,
)

OPSET = 24
"""The first version whose Attention takes the lengths of the rows, so that no mask has to be added to the scores.
ONNX Runtime before 1.25 ignores the lengths."""
_IR_VERSION = 12
_ONE = np.float32(1)
_END = 2**62
"""The end of a slice that includes the last element."""
CONTRIB = "com.microsoft"


class Linear(Protocol):
    """Adds the nodes of linear layers and embeddings to a graph, in FP32 or INT8."""

    def quantise(self, graph: "Graph", name: str, source: str) -> tuple[str, ...]:
        """Prepare the tensor `source` once for all layers that read it; return the names of the results."""
        ...

    def multiply(self, graph: "Graph", name: str, source: tuple[str, ...], weight: NDArray[np.float32],
                 bias: NDArray[np.float32]) -> str:  # fmt: skip
        """Multiply the tensors that `quantise` returned by `weight` [in, out], add `bias` [out]; return the name."""
        ...

    def embed(self, graph: "Graph", ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Look up rows of `table` [rows, width]; `name` is the prefix of the node names."""
        ...


class Graph:
    """Collects nodes and constants. All names follow from positions in the network, so that graphs can be compared."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, op: str, inputs: Sequence[str], name: str, *, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Add a constant unless it exists, and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def model(self, labels: int, *, characters: bool = False) -> onnx.ModelProto:
        """Return the model with `labels` logits per token, or per character if `characters`."""
        columns = dict.fromkeys(INPUTS, "length") | dict.fromkeys(CHARACTER_INPUTS if characters else (), "characters")
        ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", size]) for n, size in columns.items()]
        shape = ["rows", "characters" if characters else "length", labels]
        logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "hanner", ids, [logits, *self.outputs], list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="hanner")


OUTPUT = "logits"


class Fp32:
    """Linear layers in FP32, the reference for INT8."""

    def quantise(self, graph: Graph, name: str, source: str) -> tuple[str, ...]:
        """Return the source unchanged."""
        del graph, name
        return (source,)

    def multiply(
        self, graph: Graph, name: str, source: tuple[str, ...], weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Add a MatMul and an Add."""
        product = graph.node("MatMul", [source[0], graph.constant(f"{name}.weight", weight)], f"{name}.product")
        return graph.node("Add", [product, graph.constant(f"{name}.bias", bias)], name)

    def embed(self, graph: Graph, ids: str, table: NDArray[np.float32], name: str = "embeddings") -> str:
        """Gather rows of the FP32 table."""
        return graph.node("Gather", [graph.constant(f"{name}.table", table), ids], f"{name}.words")


def context_name(attention: str) -> str:
    """Return the name of the tensor that a self-attention computes from its queries, keys and values."""
    return f"{attention}.context"


def build(weights: Weights, shape: EncoderShape, linear: Linear) -> onnx.ModelProto:
    """Return a model with the inputs and the output that `hanner_inference.engine.onnx` describes."""
    return _Writer(Graph(), weights, shape, linear).write()


@dataclass(frozen=True, slots=True)
class _Writer:
    """Adds the network to a graph, part by part. Each method returns the name of its output."""

    graph: Graph
    weights: Weights
    shape: EncoderShape
    linear: Linear

    def write(self) -> onnx.ModelProto:
        states = self._embeddings()
        lengths = self._lengths("attention_mask", "lengths")
        for layer in range(self.shape.layers):
            states = self._layer(f"encoder.layer.{layer}", states, lengths)
        if self.shape.characters:
            lengths = self._lengths("character_mask", "characters.lengths")
            states = self._layer(CHARACTER_LAYER, self._characters(states), lengths)
        # The head has few columns: INT8 would save no time and cost precision.
        graph, weights = self.graph, self.weights
        logits = graph.node("MatMul", [states, graph.constant("linear.weight", weights["linear.weight"].T)], "linear")
        graph.node("Add", [logits, graph.constant("linear.bias", weights["linear.bias"])], OUTPUT)
        return graph.model(len(weights["linear.bias"]), characters=self.shape.characters)

    def _embeddings(self) -> str:
        graph, weights = self.graph, self.weights
        words = self.linear.embed(graph, "input_ids", weights["embeddings.word_embeddings.weight"])
        if self.shape.bigrams:
            words = graph.node("Add", [words, self._bigrams()], "embeddings.both")
        # All tokens are of type 0, so its vector is added to the positions in advance.
        positions = weights["embeddings.position_embeddings.weight"][: self.shape.max_length]
        positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
        table = graph.constant("embeddings.positions", positions)
        size = graph.node("Shape", ["input_ids"], "embeddings.length", start=1, end=2)
        zero = graph.constant("zero", np.array([0], dtype=np.int64))
        used = graph.node("Slice", [table, zero, size, zero], "embeddings.used")
        return self._norm("embeddings.LayerNorm", graph.node("Add", [words, used], "embeddings.sum"))

    def _bigrams(self) -> str:
        """Compute BigramEmbedding: look up the rows of each token's bigrams with its left and its right neighbour."""
        graph, weights = self.graph, self.weights
        name = "embeddings.bigrams"
        kept = graph.node("Mul", ["input_ids", "attention_mask"], f"{name}.kept")
        ends = graph.node("Pad", [kept, graph.constant("bigrams.pads", np.array([0, 1, 0, 1]))], f"{name}.ends")
        first = graph.node("Mul", [self._cut(ends, 0, -1), graph.constant("bigrams.factor", np.int64(BIGRAM_FACTOR))],
                           f"{name}.first")  # fmt: skip
        key = graph.node("Add", [first, self._cut(ends, 1, _END)], f"{name}.key")
        rows = graph.constant("bigrams.rows", np.int64(len(weights[BIGRAM_TABLE])))
        vectors = self.linear.embed(graph, graph.node("Mod", [key, rows], f"{name}.hash"), weights[BIGRAM_TABLE], name)
        sides = [self._cut(vectors, 0, -1), self._cut(vectors, 1, _END)]
        both = graph.node("Concat", sides, f"{name}.sides", axis=-1)
        projection = graph.constant(f"{name}.projection", weights[BIGRAM_PROJECTION].T)
        return graph.node("MatMul", [both, projection], f"{name}.projected")

    def _cut(self, source: str, start: int, end: int) -> str:
        """Slice `source` along its second axis."""
        bounds = [self.graph.constant(f"cut.{i}", np.array([i], dtype=np.int64)) for i in (start, end, 1)]
        return self.graph.node("Slice", [source, *bounds], f"{source}.from.{start}")

    def _characters(self, states: str) -> str:
        """Compute the inputs of the layer over characters: the state of the piece, a vector, and one for the place."""
        graph, weights = self.graph, self.weights
        last = graph.constant("characters.axis", np.array([2], dtype=np.int64))
        index = graph.node("Unsqueeze", ["owners", last], "characters.index")
        gathered = graph.node("GatherND", [states, index], "characters.states", batch_dims=1)
        vectors = self.linear.embed(graph, "character_ids", weights[CHARACTER_TABLE], "characters")
        table = graph.constant("places.table", weights[PLACE_TABLE])
        places = graph.node("Gather", [table, "places"], "places.vectors")
        both = graph.node("Add", [vectors, places], "characters.vectors")
        return self._norm(CHARACTER_NORM, gathered, skip=both)

    def _lengths(self, mask: str, name: str) -> str:
        """Compute the number of tokens or characters of each row [rows]."""
        axis = self.graph.constant("lengths.axis", np.array([1], dtype=np.int64))
        return self.graph.node("ReduceSum", [mask, axis], name, keepdims=0)

    def _layer(self, name: str, states: str, lengths: str) -> str:
        graph, linear = self.graph, self.linear
        context = self._attention(f"{name}.attention.self", linear.quantise(graph, f"{name}.input", states), lengths)
        attended = self._multiply(f"{name}.attention.output.dense", linear.quantise(graph, f"{name}.context", context))
        states = self._norm(f"{name}.attention.output.LayerNorm", attended, skip=states)
        inner = self._multiply(f"{name}.intermediate.dense", linear.quantise(graph, f"{name}.attended", states))
        active = self._activate(f"{name}.intermediate", inner)
        outer = self._multiply(f"{name}.output.dense", linear.quantise(graph, f"{name}.active", active))
        return self._norm(f"{name}.output.LayerNorm", outer, skip=states)

    def _activate(self, name: str, source: str) -> str:
        if self.shape.activation == "relu":
            return self.graph.node("Relu", [source], f"{name}.relu")
        return self.graph.node("Gelu", [source], f"{name}.gelu", domain=CONTRIB)

    def _attention(self, name: str, source: tuple[str, ...], lengths: str) -> str:
        """Compute self-attention. The operator reads and writes the heads where they are, so none has to be moved."""
        graph, heads = self.graph, self.shape.heads
        # The scale of the scores is folded into Q.
        scale = np.float32(1 / np.sqrt(len(self.weights[f"{name}.query.bias"]) // heads))
        query = self._multiply(f"{name}.query", source, scale)
        key, value = (self._multiply(f"{name}.{part}", source) for part in ("key", "value"))
        inputs = [query, key, value, "", "", "", lengths]  # without a mask, and without keys and values of earlier runs
        return graph.node("Attention", inputs, context_name(name), q_num_heads=heads, kv_num_heads=heads, scale=1.0)

    def _multiply(self, name: str, source: tuple[str, ...], scale: np.float32 = _ONE) -> str:
        weight, bias = (self.weights[f"{name}.{part}"] * scale for part in ("weight", "bias"))
        return self.linear.multiply(self.graph, name, source, weight.T, bias)

    def _norm(self, name: str, source: str, *, skip: str | None = None) -> str:
        """Normalise `source`, or `source` + `skip`. ONNX Runtime's SkipLayerNormalization is ten times slower."""
        graph = self.graph
        parameters = [graph.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias")]
        if skip is not None:
            source = graph.node("Add", [source, skip], f"{name}.sum")
        return graph.node("LayerNormalization", [source, *parameters], name, axis=-1, epsilon=self.shape.epsilon)
