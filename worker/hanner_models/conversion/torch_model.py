"""The model in torch: encoder, head, and the FP32 reference that a package is compared with. Imports torch.

The encoder is transformers' BertModel, optionally with an embedding of each token's two bigrams. A small encoder
trained on little text benefits from words that it can look up: character bigrams raised an LSTM-CRF from 88.8 to 91.9
on MSRA (Zhang and Yang 2018, Lattice LSTM). A table of all bigrams would be far larger than the encoder, so bigrams
share rows by their hash (Svenstrup et al. 2017, hash embeddings). graph.py computes the same from the ids.
"""

from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from hanner_inference.engine.base import Batch
from hanner_models.source import Source
from hanner_models.source.architecture import BIGRAM_FACTOR, BIGRAM_TABLE, EncoderShape, Weights


class BigramEmbedding(nn.Module):
    """Vectors for the bigrams that a token forms with its left and its right neighbour.

    Args:
        rows: number of rows of the table; the bigram (a, b) has row (a * BIGRAM_FACTOR + b) % rows.
        width: of a bigram's vector.
        hidden: width of the encoder.

    Attributes:
        token_dropout: in training, the share of tokens that are hidden when bigrams are formed, so that the encoder
            also learns to recognise names by their context.
    """

    def __init__(self, rows: int, width: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, width)
        self.projection = nn.Linear(2 * width, hidden, bias=False)
        self.token_dropout = 0.0

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return [rows, length, hidden] for ids [rows, length] that are 0 at padding."""
        if self.training and self.token_dropout:
            input_ids = input_ids * (torch.rand(input_ids.shape, device=input_ids.device) >= self.token_dropout)
        padded = nn.functional.pad(input_ids, (1, 1))
        vectors = self.table((padded[:, :-1] * BIGRAM_FACTOR + padded[:, 1:]) % self.table.num_embeddings)
        both: Tensor = self.projection(torch.cat((vectors[:, :-1], vectors[:, 1:]), dim=-1))
        return both


class BigramBert(BertModel):
    """A BertModel that adds each token's bigrams to its embedding."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.embeddings.bigrams = BigramEmbedding(config.bigram_rows, config.bigram_width, config.hidden_size)
        nn.init.normal_(self.embeddings.bigrams.table.weight, std=0.02)
        nn.init.normal_(self.embeddings.bigrams.projection.weight, std=0.1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Return BertModel's output for ids and mask, int64 [rows, length]."""
        unpadded = input_ids if attention_mask is None else input_ids * attention_mask
        embedded = self.embeddings.word_embeddings(input_ids) + self.embeddings.bigrams(unpadded)
        return super().forward(inputs_embeds=embedded, attention_mask=attention_mask)


class TorchReference:
    """Runs a tagger in FP32 with torch. An engine, see `hanner_inference.engine.base`.

    Attributes:
        name: names the versions of torch and transformers.
    """

    def __init__(self, source: Source) -> None:
        self.name = f"torch {torch.__version__.partition('+')[0]}, transformers {transformers.__version__}"
        self._network = build_network(source.weights, source.shape)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]."""
        scores: NDArray[np.float32] = infer(self._network, batch).numpy()
        return scores


def make_encoder(config: BertConfig) -> Any:
    """Return a new encoder without pooler; it has bigram embeddings if the configuration has `bigram_rows`."""
    if getattr(config, "bigram_rows", 0):
        return BigramBert(config)
    return BertModel(config, add_pooling_layer=False)


def encoder_from_weights(weights: Weights, shape: EncoderShape) -> Any:
    """Return an encoder in FP32 with a copy of these weights, in evaluation mode."""
    vocabulary, hidden = weights["embeddings.word_embeddings.weight"].shape
    rows, width = weights[BIGRAM_TABLE].shape if shape.bigrams else (0, 0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=len(weights["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(weights["embeddings.position_embeddings.weight"]),
        type_vocab_size=len(weights["embeddings.token_type_embeddings.weight"]),
        layer_norm_eps=shape.epsilon,
        hidden_act=shape.activation,
        attn_implementation="sdpa",
        bigram_rows=rows,
        bigram_width=width,
    )
    encoder = make_encoder(config)
    _load_weights(encoder, weights)
    return encoder.eval()


def build_network(weights: Weights, shape: EncoderShape) -> Any:
    """Return a torch module with `encoder`, without pooler, and `linear`, in FP32 and in evaluation mode."""
    head = nn.Linear(weights["linear.weight"].shape[1], len(weights["linear.bias"]))
    _load_weights(head, {part: weights[f"linear.{part}"] for part in ("weight", "bias")})
    return nn.ModuleDict({"encoder": encoder_from_weights(weights, shape), "linear": head}).eval()


def infer(network: Any, batch: Batch, device: str = "cpu") -> Any:
    """Return logits [rows, length, labels] of a batch, padded to its longest row, as a tensor on `device`."""
    ids = torch.from_numpy(batch.input_ids).to(device)
    mask = torch.arange(ids.shape[1], device=device) < torch.from_numpy(batch.lengths).to(device)[:, None]
    with torch.inference_mode():
        return network["linear"](network["encoder"](input_ids=ids, attention_mask=mask.long()).last_hidden_state)


def _load_weights(module: nn.Module, weights: Weights) -> None:
    # Copied, because arrays from a graph are read-only. Assigned, so that a large model is not in memory twice.
    module.load_state_dict({name: torch.tensor(weights[name]) for name in module.state_dict()}, assign=True)
