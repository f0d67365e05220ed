"""The FP32 model that a package is compared with: transformers' own BertModel in torch, where both are installed."""

import numpy as np
from numpy.typing import NDArray

from hanner_inference.engine.base import Batch
from hanner_models.source import Source


class TorchReference:
    """Runs a tagger in FP32 with torch. An engine, see `hanner_inference.engine.base`.

    Attributes:
        name: says which versions it runs with.
    """

    def __init__(self, source: Source) -> None:
        """Build transformers' BertModel and give it the source's weights.

        Raises:
            ImportError: torch or transformers is not installed.
        """
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415

        from hanner_models import encoder  # noqa: PLC0415

        self.name = f"torch {torch.__version__.partition('+')[0]}, transformers {transformers.__version__}"
        self._infer = encoder.infer
        self._network = encoder.build_network(source.weights, source.shape)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]."""
        scores: NDArray[np.float32] = self._infer(self._network, batch).numpy()
        return scores
