"""The FP32 model that a package is compared with: transformers' own BertModel in torch, where both are installed."""

import numpy as np
from numpy.typing import NDArray

from nerq_models.source import Source
from nerq_worker.engine.base import Batch


class TorchReference:
    """Runs a tagger in FP32 with torch. An engine, see `nerq_worker.engine.base`.

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

        from nerq_models.encoder import encoder_of  # noqa: PLC0415

        self._torch = torch
        self.name = f"torch {torch.__version__.partition('+')[0]}, transformers {transformers.__version__}"
        weights = {name: torch.from_numpy(value) for name, value in source.weights.items()}
        self._linear = weights["linear.weight"], weights["linear.bias"]
        self._model = encoder_of(source.weights, source.shape)
        encoder = {name: value for name, value in weights.items() if name.startswith(("embeddings.", "encoder."))}
        self._model.load_state_dict(encoder)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]."""
        torch = self._torch
        mask = np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]
        with torch.inference_mode():
            states = self._model(
                input_ids=torch.from_numpy(batch.input_ids), attention_mask=torch.from_numpy(mask.astype(np.int64))
            ).last_hidden_state
            scores: NDArray[np.float32] = torch.nn.functional.linear(states, *self._linear).numpy()
        return scores
