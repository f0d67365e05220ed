"""The networks of both phases: an encoder with a masked-language head, or with tagging heads. Imports torch."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_models.conversion.torch_model import make_encoder
from hanner_models.train.config import EncoderConfig


def build_encoder(shape: EncoderConfig, vocabulary: int, dropout: float = 0.0) -> Any:
    """Return an encoder with random weights.

    Attention has no dropout: PyTorch's fused attention on a CPU does not support it, and small encoders do not need it.
    """
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        hidden_act=shape.activation,
        max_position_embeddings=shape.max_length,
        type_vocab_size=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
        bigram_rows=shape.bigram_rows,
        bigram_width=shape.bigram_width,
    )
    return make_encoder(config)


class MaskedLanguageModel(nn.Module):
    """Encoder, BERT's prediction head with tied embeddings, and optionally a head for word tags, see word_tags.py.

    Args:
        encoder: to pretrain.
        word_tag_count: number of word tags; 0 for no such head.
    """

    def __init__(self, encoder: Any, word_tag_count: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = encoder.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden))
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))
        self.word_head = nn.Linear(hidden, word_tag_count) if word_tag_count else None

    def loss(self, input_ids: Tensor, targets: Tensor, word_tags: Tensor) -> Tensor:
        """Return the mean cross-entropy of the masked tokens, plus that of the word tags.

        Args:
            input_ids: [rows, length], masked.
            targets: [rows, length], the original ids at masked positions, -100 elsewhere.
            word_tags: [rows, length], -100 where a token has none.
        """
        hidden = self.encoder(input_ids=input_ids).last_hidden_state
        chosen = targets != -100
        states = self.transform(hidden[chosen])
        logits = nn.functional.linear(
            states, self.encoder.embeddings.word_embeddings.weight, self.bias.to(states.dtype)
        )
        loss = nn.functional.cross_entropy(logits.float(), targets[chosen])
        if self.word_head is None:
            return loss
        return loss + nn.functional.cross_entropy(self.word_head(hidden).float().flatten(0, 1), word_tags.flatten())


class Crf(nn.Module):
    """Linear-chain CRF (Lafferty et al. 2001) with the parameter names of pytorch-crf."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.start_transitions = nn.Parameter(torch.zeros(labels))
        self.end_transitions = nn.Parameter(torch.zeros(labels))
        self.transitions = nn.Parameter(torch.zeros(labels, labels))

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the negative log-likelihood, summed over the rows.

        Args:
            emissions: float32 [rows, length, labels].
            tags: int64 [rows, length].
            lengths: int64 [rows], at least 1.
        """
        return (self.log_partition(emissions, lengths) - self.path_scores(emissions, tags, lengths)).sum()

    def path_scores(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score of one path per row [rows]; for the arguments see `loss`."""
        rows, length, _ = emissions.shape
        inside = torch.arange(length, device=lengths.device)[None, :] < lengths[:, None]
        gathered = emissions.gather(2, tags[:, :, None]).squeeze(2).masked_fill(~inside, 0).sum(1)
        steps = self.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~inside[:, 1:], 0).sum(1)
        last = tags[torch.arange(rows, device=tags.device), lengths - 1]
        path: Tensor = gathered + steps + self.start_transitions[tags[:, 0]] + self.end_transitions[last]
        return path

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the logarithm of the sum over all paths of each row [rows]; for the arguments see `loss`."""
        length = emissions.shape[1]
        inside = torch.arange(length, device=lengths.device)[None, :] < lengths[:, None]
        alpha = self.start_transitions + emissions[:, 0]
        for t in range(1, length):
            updated = torch.logsumexp(alpha[:, :, None] + self.transitions, dim=1) + emissions[:, t]
            alpha = torch.where(inside[:, t, None], updated, alpha)
        return torch.logsumexp(alpha + self.end_transitions, dim=1)


class Head(nn.Module):
    """Linear layer and CRF on the encoder's states. The CRF does not see [CLS] and [SEP]."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, labels)
        self.crf = Crf(labels)


class Tagger(nn.Module):
    """Encoder and its heads. Only `head` is kept; `auxiliary` (for other guidelines) and `word_head` are dropped.

    Args:
        encoder: a pretrained encoder.
        labels: number of labels.
        dropout: of the encoder's output.
        word_tag_count: number of word tags; 0 for no such head.
        word_loss_weight: weight of the loss of the word tags.
    """

    def __init__(
        self, encoder: Any, labels: int, dropout: float = 0.1, *, word_tag_count: int = 0, word_loss_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = Head(encoder.config.hidden_size, labels)
        self.auxiliary = Head(encoder.config.hidden_size, labels)
        self.word_head = nn.Linear(encoder.config.hidden_size, word_tag_count) if word_tag_count else None
        self.word_loss_weight = word_loss_weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32 emissions of `head` [rows, length, labels], including those of special tokens."""
        emissions: Tensor = self.head.linear(self._states(input_ids, attention_mask))
        return emissions.float()

    def _states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.dropout(states)

    def loss(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        tags: Tensor,
        word_tags: Tensor,
        *,
        auxiliary: bool,
    ) -> Tensor:
        """Return the mean negative log-likelihood per token, plus the weighted loss of the word tags.

        Args:
            input_ids: [rows, length].
            attention_mask: [rows, length].
            tags: [rows, length - 2], without [CLS] and [SEP].
            word_tags: [rows, length - 2], see word_tags.py.
            auxiliary: whether the tags are for the auxiliary head.
        """
        states = self._states(input_ids, attention_mask)[:, 1:-1]
        head = self.auxiliary if auxiliary else self.head
        lengths = attention_mask.sum(1) - SPECIAL_TOKENS
        emissions = head.linear(states).float()
        with torch.autocast(emissions.device.type, enabled=False):
            loss: Tensor = head.crf.loss(emissions, tags, lengths) / lengths.sum()
        if self.word_head is None:
            return loss
        return loss + self.word_loss_weight * nn.functional.cross_entropy(
            self.word_head(states).float().flatten(0, 1), word_tags.flatten()
        )
