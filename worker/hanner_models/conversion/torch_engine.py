"""The engine over PyTorch, `HANNER_ENGINE=torch`: the textbook recipe on a CPU, BF16 on a GPU.

On a CPU it is what tutorials do: transformers' BertModel, `quantize_dynamic` over its Linear layers, one thread. It is
kept as the reference that the default engine is measured against, and for those who want plain PyTorch. One scale is
taken from a whole batch's activations, so **a text's scores change with its neighbours**, which the default engine's
do not; and each process holds about 200 MB more.

Where CUDA is to be had the same network runs there in BF16, in batches 32 times as large. CUDA does not survive a fork,
so the parent of a worker never touches it: a process moves the weights at its first batch. One or two processes
(HANNER_CONCURRENCY) feed a GPU, and each has a copy of the weights there.

The weights are those of the package's own graph, see unbuild.py: no further file is needed, and both engines compute
with the same rounded numbers.
"""

import os
import warnings
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hanner.errors import ModelFailed
from hanner.utils.packaging import install_hint
from hanner_inference.engine.base import Batch, Budget
from hanner_inference.package import MODEL, ModelPackage, ModelPackageError
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights

try:
    import torch
    from torch.ao.quantization import quantize_dynamic

    from hanner_models.encoder import build_network, infer
except ModuleNotFoundError as error:
    raise ImportError(
        f"there is no {error.name}; the engine needs torch (releases up to 2.13 have torch.ao.quantization) and "
        f"transformers: {install_hint('models')}"
    ) from error

GPU_BUDGET = Budget(texts=1024, tokens=65_536)
_CUDA, _CPU = "cuda", "cpu"


class TorchEngine:
    """Runs a package's encoder with PyTorch.

    Attributes:
        device: `cuda` or `cpu`.
        skip_warm_up: whether the first run must be in the process that goes on with it.
        budget: batches a GPU wants; None on a CPU, where the settings' defaults are right.
    """

    def __init__(self, package: ModelPackage, device: str | None = None) -> None:
        """Build the network from the package's graph.

        Args:
            package: an opened package.
            device: `cuda` or `cpu`; by default a GPU if there is one.

        Raises:
            ModelPackageError: the graph is none that hanner wrote, so its weights cannot be read.
        """
        self.device = device or (_CUDA if _has_gpu() else _CPU)
        self.skip_warm_up = self.device == _CUDA
        self.budget = GPU_BUDGET if self.device == _CUDA else None
        self._labels = len(package.manifest.labels)
        self._placed = False
        try:
            network = build_network(*read_weights(onnx.load_model_from_string(package.read(MODEL))))
        except UnsupportedGraph as error:
            raise ModelPackageError(
                f"{package.path / MODEL} {error}, so the engine 'torch' cannot read it; use HANNER_ENGINE=onnx, "
                "or convert the model with `hanner model convert`"
            ) from None
        if self.device == _CPU:
            # Threads of PyTorch's own would not survive the fork, and one process per core leaves no core for them.
            torch.set_num_threads(1)
            self._network = quantised(network)
        else:
            self._network = network.to(torch.bfloat16)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; what stands at padded positions means nothing.

        Raises:
            ModelFailed: PyTorch failed; the GPU may be out of memory.
        """
        rows, length = batch.input_ids.shape
        try:
            self._place()
            scores: NDArray[np.float32] = infer(self._network, batch, self.device).float().cpu().numpy()
        except RuntimeError as error:
            raise ModelFailed(f"the model failed on a batch of {rows} x {length} tokens: {error}") from error
        if scores.shape != (rows, length, self._labels):
            raise ModelFailed(f"the model gave scores of shape {scores.shape} for {rows} x {length} tokens")
        return scores

    def _place(self) -> None:
        """Move the network to its device, once, in the process that uses it."""
        if not self._placed:
            self._network.to(self.device)
            self._placed = True


def quantised(network: Any) -> Any:
    """Return the textbook's INT8: Linear layers only, one scale per weight, one per batch of activations, on the way.

    The products are those of PyTorch's quantised engine `x86`, its default: oneDNN where the processor has VNNI, FBGEMM
    elsewhere.
    """
    with warnings.catch_warnings():
        # PyTorch wants its users to move to torchao; this is about what they come from.
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
        return quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)


def _has_gpu() -> bool:
    """Tell whether CUDA can be used, without starting it: that would spoil it for processes forked from this one."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return bool(torch.cuda.is_available())
