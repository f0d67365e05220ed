"""The PyTorch engine, `HANNER_ENGINE=torch`: dynamic INT8 on a CPU, BF16 on a GPU. Imports torch.

On a CPU it follows PyTorch's tutorials: transformers' BertModel, `quantize_dynamic` on its Linear layers, one thread.
It is the reference that the default engine is measured against. Activations have one scale per batch. So, unlike with
the default engine, **a text's scores depend on the rest of its batch**. Each process needs about 200 MB more.

With CUDA, the same network runs on the GPU in BF16, in batches 32 times as large. CUDA does not survive a fork, so the
parent process of a worker never initialises it: a pool process moves the weights to the GPU at its first batch. One or
two processes (HANNER_CONCURRENCY) saturate a GPU, and each has a copy of the weights there.

The weights are read from the package's graph, see graph_reader.py: no other file is needed, and both engines compute
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

    from hanner_models.conversion.torch_model import build_network, infer
except ModuleNotFoundError as error:
    raise ImportError(
        f"{error.name} is not installed; the engine needs torch (up to 2.13, which has torch.ao.quantization) and "
        f"transformers: {install_hint('models')}"
    ) from error

GPU_BUDGET = Budget(texts=1024, tokens=65_536)
_CUDA, _CPU = "cuda", "cpu"


class TorchEngine:
    """Runs the encoder of a package with PyTorch.

    Attributes:
        device: `cuda` or `cpu`.
        skip_warm_up: whether the first run must happen in the process that uses the engine, after the fork.
        budget: batch limits for a GPU; None on a CPU, where the settings apply.
    """

    def __init__(self, package: ModelPackage, device: str | None = None) -> None:
        """Build the network from the package's graph.

        Args:
            package: the package whose model is run.
            device: `cuda` or `cpu`; by default a GPU if one is available.

        Raises:
            ModelPackageError: the model labels characters of word pieces, or its graph was not written by hanner, so
                its weights cannot be read.
        """
        if package.manifest.labels_characters:
            raise ModelPackageError(
                f"{package.id} labels characters of word pieces, and the engine 'torch' runs models that label tokens; "
                "use HANNER_ENGINE=onnx, or another model, such as HANNER_MODEL=hanner-small"
            )
        self.device = device or (_CUDA if _has_gpu() else _CPU)
        self.skip_warm_up = self.device == _CUDA
        self.budget = GPU_BUDGET if self.device == _CUDA else None
        self._labels = len(package.manifest.labels)
        self._moved = False
        try:
            network = build_network(*read_weights(onnx.load_model_from_string(package.read(MODEL))))
        except UnsupportedGraph as error:
            raise ModelPackageError(
                f"{package.path / MODEL} {error}, so the engine 'torch' cannot read it; use HANNER_ENGINE=onnx, "
                "or convert the model with `hanner model convert`"
            ) from None
        if self.device == _CPU:
            # PyTorch's threads do not survive a fork, and there is one process per core.
            torch.set_num_threads(1)
            self._network = quantise_dynamic(network)
        else:
            self._network = network.to(torch.bfloat16)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; those at padding are undefined.

        Raises:
            ModelFailed: PyTorch failed, for example because the GPU is out of memory.
        """
        rows, length = batch.input_ids.shape
        try:
            self._move_to_device()
            scores: NDArray[np.float32] = infer(self._network, batch, self.device).float().cpu().numpy()
        except RuntimeError as error:
            raise ModelFailed(f"the model failed on a batch of {rows} x {length} tokens: {error}") from error
        if scores.shape != (rows, length, self._labels):
            raise ModelFailed(f"the model returned scores of shape {scores.shape} for {rows} x {length} tokens")
        return scores

    def _move_to_device(self) -> None:
        """Move the network to its device at the first call."""
        if not self._moved:
            self._network.to(self.device)
            self._moved = True


def quantise_dynamic(network: Any) -> Any:
    """Return the network with INT8 Linear layers: one scale per weight, and one per batch of activations.

    PyTorch's default backend `x86` multiplies with oneDNN on processors with VNNI, else with FBGEMM.
    """
    with warnings.catch_warnings():
        # PyTorch recommends torchao instead; this engine is the reference for the older method.
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
        return quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)


def _has_gpu() -> bool:
    """Return whether CUDA is available, without initialising it, which would break it in forked processes."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    return bool(torch.cuda.is_available())
