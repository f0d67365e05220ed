"""The engine on ONNX Runtime: one thread, on the CPU. Reads model.onnx of an open package.

The graph has inputs `input_ids` and `attention_mask`, both int64 [rows, length], and output `logits`, float32
[rows, length, labels]. If the model labels characters, it also has inputs `character_ids`, `character_mask`, `owners`
and `places`, all int64 [rows, characters], and the output is [rows, characters, labels].

A session has no threads of its own, so it still works after a fork, and forked processes share its weights.
docs/explanation/engine.md has the measurements behind each option.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hanner.errors import ModelFailed
from hanner_inference.engine.base import Batch
from hanner_inference.package import MODEL, ModelPackage, ModelPackageError

GRAPH_OPTIMISATION = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
"""The graph is already optimised: ONNX Runtime's rewrites make it slower and could change the verified results."""
TOKENS_PER_RUN = 256
"""Tokens per run of the graph. Rows are independent, so a batch can run in parts. Parts of this size fit the CPU cache,
which is faster, and they limit the memory for activations."""
_ARENA_BYTES = 16 * 2**20
"""First region of the memory for activations. A run of base size needs 10 MB of it; pages that no run needs are never
touched. Regions that double in size would not fit the large activations of a run, and hold 3 MB more per process."""
INPUTS = ("input_ids", "attention_mask")
CHARACTER_INPUTS = ("character_ids", "character_mask", "owners", "places")
_OUTPUT = "logits"
_ERRORS_ONLY = 3


class OnnxEngine:
    """Runs a package's encoder with ONNX Runtime."""

    def __init__(self, package: ModelPackage) -> None:
        """Open the package's model.onnx.

        Raises:
            ModelPackageError: if the file was changed since the package was opened, or does not match the package.
        """
        self._labels = len(package.manifest.labels)
        _register_arena()
        try:
            self._session = onnxruntime.InferenceSession(
                package.read(MODEL), _session_options(), providers=["CPUExecutionProvider"]
            )
            self._session._model_bytes = None  # noqa: SLF001 - only needed to change providers
        except ModelPackageError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no common class
            raise ModelPackageError(
                f"{package.path / MODEL} cannot be opened by ONNX Runtime {onnxruntime.__version__} ({error}); "
                "export the model package again, or install the ONNX Runtime version that it was made with"
            ) from error
        self._check_graph(package)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; values at padded positions are undefined.

        Raises:
            ModelFailed: if ONNX Runtime fails, or returns scores of another shape.
        """
        scores = np.zeros((len(batch.lengths), batch.columns, self._labels), dtype=np.float32)
        for rows in _parts(batch.lengths, TOKENS_PER_RUN):
            part = batch.part(rows)
            scores[rows, : part.columns] = self._scores(part)
        return scores

    def _scores(self, batch: Batch) -> NDArray[np.float32]:
        rows, length = batch.input_ids.shape
        try:
            (logits,) = self._session.run([_OUTPUT], graph_inputs(batch))
        except Exception as error:
            raise ModelFailed(f"the model failed on a batch of {rows} x {length} tokens: {error}") from error
        if logits.shape != (rows, batch.columns, self._labels):
            raise ModelFailed(f"the model returned scores of shape {logits.shape} for {rows} x {length} tokens")
        scores: NDArray[np.float32] = logits
        return scores

    def _check_graph(self, package: ModelPackage) -> None:
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        problem = ""
        expected = {*INPUTS, *(CHARACTER_INPUTS if package.manifest.labels_characters else ())}
        if inputs != expected:
            problem = f"has inputs {', '.join(sorted(inputs))}; expected {', '.join(sorted(expected))}"
        elif _OUTPUT not in outputs:
            problem = f"has outputs {', '.join(outputs)}; expected {_OUTPUT}"
        elif isinstance(outputs[_OUTPUT][-1], int) and outputs[_OUTPUT][-1] != self._labels:
            problem = f"scores {outputs[_OUTPUT][-1]} labels, but the manifest has {self._labels}"
        if problem:
            raise ModelPackageError(f"{package.path / MODEL} {problem}; export the model package again")


def graph_inputs(batch: Batch) -> dict[str, NDArray[np.int64]]:
    """Return the inputs of the graph for a batch, by name."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": _mask(batch.input_ids, batch.lengths)}
    if (characters := batch.characters) is not None:
        mask = _mask(characters.ids, characters.lengths)
        values = (characters.ids, mask, characters.owners, characters.places)
        inputs |= zip(CHARACTER_INPUTS, values, strict=True)
    return inputs


def _mask(ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)


def _parts(lengths: NDArray[np.int64], limit: int) -> Iterator[slice]:
    """Yield slices of rows with at most `limit` tokens including padding; a longer row is a slice of its own."""
    start = longest = 0
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if row > start and longest * (row + 1 - start) > limit:
            yield slice(start, row)
            start, longest = row, length
    yield slice(start, len(lengths))


@cache
def _register_arena() -> None:
    """Create the arena that the sessions of this process share; ONNX Runtime accepts it once."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(
        memory, onnxruntime.OrtArenaCfg({"initial_chunk_size_bytes": _ARENA_BYTES})
    )


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = GRAPH_OPTIMISATION
    options.log_severity_level = _ERRORS_ONLY
    # Memory patterns are stored per shape, and almost every batch has a new shape.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights outside the arena, so that a closed session leaves no hole in it.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
