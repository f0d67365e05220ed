"""The networks: a BERT encoder with a masked-language head, and the same encoder with a tagging head and a CRF."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_models.encoder import make_encoder
from hanner_models.train.config import EncoderConfig


def build_encoder(shape: EncoderConfig, vocabulary: int, dropout: float = 0.0) -> Any:
    """Return a fresh encoder.

    Attention has no dropout: PyTorch's fused attention on CPU takes none, and small encoders do not miss it.
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
    """Encoder and BERT's prediction head, its output table tied to the input table; and a head for words, see words.py.

    Args:
        encoder: to pretrain.
        word_tags: how many tags the head for words tells apart; 0: there is none.
    """

    def __init__(self, encoder: Any, word_tags: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = encoder.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden))
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))
        self.words = nn.Linear(hidden, word_tags) if word_tags else None

    def loss(self, input_ids: Tensor, targets: Tensor, words: Tensor) -> Tensor:
        """Return the mean cross-entropy over the masked positions, plus that of the words' tags over all positions.

        Args:
            input_ids: [rows, length], masked.
            targets: [rows, length], the true ids where masked and -100 elsewhere.
            words: [rows, length], the tags of the words the tokens belong to, -100 where there are none.
        """
        hidden = self.encoder(input_ids=input_ids).last_hidden_state
        chosen = targets != -100
        states = self.transform(hidden[chosen])
        logits = nn.functional.linear(
            states, self.encoder.embeddings.word_embeddings.weight, self.bias.to(states.dtype)
        )
        loss = nn.functional.cross_entropy(logits.float(), targets[chosen])
        if self.words is None:
            return loss
        return loss + nn.functional.cross_entropy(self.words(hidden).float().flatten(0, 1), words.flatten())


class Crf(nn.Module):
    """Linear-chain CRF (Lafferty et al. 2001), with the parameter names of pytorch-crf."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.start_transitions = nn.Parameter(torch.zeros(labels))
        self.end_transitions = nn.Parameter(torch.zeros(labels))
        self.transitions = nn.Parameter(torch.zeros(labels, labels))

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the negative log-likelihood summed over the rows.

        Args:
            emissions: float32 [rows, length, labels].
            tags: int64 [rows, length].
            lengths: int64 [rows], at least 1.
        """
        rows, length, _ = emissions.shape
        inside = torch.arange(length, device=lengths.device)[None, :] < lengths[:, None]
        gathered = emissions.gather(2, tags[:, :, None]).squeeze(2).masked_fill(~inside, 0).sum(1)
        steps = self.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~inside[:, 1:], 0).sum(1)
        last = tags[torch.arange(rows, device=tags.device), lengths - 1]
        path = gathered + steps + self.start_transitions[tags[:, 0]] + self.end_transitions[last]
        alpha = self.start_transitions + emissions[:, 0]
        for t in range(1, length):
            moved = torch.logsumexp(alpha[:, :, None] + self.transitions, dim=1) + emissions[:, t]
            alpha = torch.where(inside[:, t, None], moved, alpha)
        return (torch.logsumexp(alpha + self.end_transitions, dim=1) - path).sum()


class Head(nn.Module):
    """Linear layer and CRF over the encoder's states. [CLS] and [SEP] take no part in the CRF."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, labels)
        self.crf = Crf(labels)


class Tagger(nn.Module):
    """Encoder and its heads: `head` is kept; `auxiliary` learns other guidelines and is dropped, and so is `words`.

    Args:
        encoder: a pretrained one.
        labels: how many there are.
        dropout: share of the encoder's outputs that the heads do not see.
        word_tags: how many tags of words `words` tells apart; 0: there is no such head.
        word_share: weight of its loss.
    """

    def __init__(
        self, encoder: Any, labels: int, dropout: float = 0.1, *, word_tags: int = 0, word_share: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = Head(encoder.config.hidden_size, labels)
        self.auxiliary = Head(encoder.config.hidden_size, labels)
        self.words = nn.Linear(encoder.config.hidden_size, word_tags) if word_tags else None
        self.word_share = word_share

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32 emissions of `head` [rows, length, labels], special positions included."""
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
        words: Tensor,
        *,
        auxiliary: bool,
    ) -> Tensor:
        """Return the mean negative log-likelihood of a token, plus a share of that of its word's tag.

        Args:
            input_ids: [rows, length].
            attention_mask: [rows, length].
            tags: [rows, length - 2], without [CLS] and [SEP].
            words: [rows, length - 2], see words.py.
            auxiliary: whether the tags are the auxiliary head's.
        """
        states = self._states(input_ids, attention_mask)[:, 1:-1]
        head = self.auxiliary if auxiliary else self.head
        lengths = attention_mask.sum(1) - SPECIAL_TOKENS
        emissions = head.linear(states).float()
        with torch.autocast(emissions.device.type, enabled=False):
            loss: Tensor = head.crf.loss(emissions, tags, lengths) / lengths.sum()
        if self.words is None:
            return loss
        return loss + self.word_share * nn.functional.cross_entropy(
            self.words(states).float().flatten(0, 1), words.flatten()
        )
