"""The engine over ONNX Runtime: one thread, on the CPU. Opens model.onnx of a package that was checked.

The graph takes `input_ids` and `attention_mask`, both int64 [rows, length], and gives `logits`, float32
[rows, length, labels]. A session has no threads of its own, so it works on after a fork and its weights are shared.
What was tried, and what each choice here gave, is in docs/explanation/engine.md.
"""

from collections.abc import Iterator

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hanner.errors import ModelFailed
from hanner_inference.engine.base import Batch
from hanner_inference.package import MODEL, ModelPackage, ModelPackageError

GRAPH_OPTIMISATION = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
"""The graph is written in its final form: ONNX Runtime's rewrites make it slower and could change what was verified."""
TOKENS_PER_RUN = 256
"""Tokens the graph is given at once. A row's scores do not depend on the others, so a batch may be run in parts: these
stay in the cache, which is faster than the whole, and the memory for activations is bounded whatever the batch."""
_INPUTS = ("input_ids", "attention_mask")
_OUTPUT = "logits"
_ERRORS_ONLY = 3


class OnnxEngine:
    """Runs a package's encoder with ONNX Runtime."""

    def __init__(self, package: ModelPackage) -> None:
        """Open the package's model.onnx.

        Raises:
            ModelPackageError: the file was changed since, or is no graph for this package.
        """
        self._labels = len(package.manifest.labels)
        try:
            self._session = onnxruntime.InferenceSession(
                package.read(MODEL), _session_options(), providers=["CPUExecutionProvider"]
            )
            self._session._model_bytes = None  # noqa: SLF001 - kept to change providers, which is never done here
        except ModelPackageError:
            raise
        except Exception as error:  # what ONNX Runtime raises shares no class
            raise ModelPackageError(
                f"{package.path / MODEL} cannot be opened by ONNX Runtime {onnxruntime.__version__} ({error}); "
                "export the model package again, or install the version it was made with"
            ) from error
        self._check_graph(package)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; what stands at padded positions means nothing.

        Raises:
            ModelFailed: ONNX Runtime failed, or gave scores of another shape.
        """
        rows, length = batch.input_ids.shape
        scores = np.zeros((rows, length, self._labels), dtype=np.float32)
        for part in _parts(batch.lengths, TOKENS_PER_RUN):
            longest = int(batch.lengths[part].max())
            scores[part, :longest] = self._scores(batch.input_ids[part, :longest], batch.lengths[part])
        return scores

    def _scores(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        rows, length = ids.shape
        mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
        try:
            (logits,) = self._session.run([_OUTPUT], dict(zip(_INPUTS, (ids, mask), strict=True)))
        except Exception as error:
            raise ModelFailed(f"the model failed on a batch of {rows} x {length} tokens: {error}") from error
        if logits.shape != (rows, length, self._labels):
            raise ModelFailed(f"the model gave scores of shape {logits.shape} for {rows} x {length} tokens")
        scores: NDArray[np.float32] = logits
        return scores

    def _check_graph(self, package: ModelPackage) -> None:
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        fault = ""
        if inputs != set(_INPUTS):
            fault = f"takes {', '.join(sorted(inputs))} and should take {' and '.join(_INPUTS)}"
        elif _OUTPUT not in outputs:
            fault = f"gives {', '.join(outputs)} and should give {_OUTPUT}"
        elif isinstance(outputs[_OUTPUT][-1], int) and outputs[_OUTPUT][-1] != self._labels:
            fault = f"scores {outputs[_OUTPUT][-1]} labels and the manifest has {self._labels}"
        if fault:
            raise ModelPackageError(f"{package.path / MODEL} {fault}; export the model package again")


def _parts(lengths: NDArray[np.int64], limit: int) -> Iterator[slice]:
    """Cut a batch into runs of rows that have at most `limit` tokens after padding; a longer row is a run by itself."""
    start = longest = 0
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if row > start and longest * (row + 1 - start) > limit:
            yield slice(start, row)
            start, longest = row, length
    yield slice(start, len(lengths))


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = GRAPH_OPTIMISATION
    options.log_severity_level = _ERRORS_ONLY
    # Memory patterns are kept per shape, and batches come in ever new shapes.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
