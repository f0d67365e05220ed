"""The network of a fine-tune: encoder and head in torch, optionally with LoRA adapters. Imports torch."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig

from hanner.utils.packaging import install_hint
from hanner_models.conversion.torch_model import encoder_from_weights
from hanner_models.finetune.options import OptionError
from hanner_models.source import Source
from hanner_models.source.architecture import CHARACTER_LAYER, CHARACTER_NORM, CHARACTER_TABLE
from hanner_models.train.examples import TrainingBatch
from hanner_models.train.loop import default_device
from hanner_models.train.model import Head
from hanner_models.train.teacher.network import PieceTagger
from hanner_models.train.teacher.text import PieceBatch

LORA_RANK = 16
"""Rank of the LoRA matrices; their product is scaled by 2, as usual."""
_LORA_TARGETS = r".*(query|key|value|dense)"
"""All linear layers of transformer layers: adapters on only some of them learn less (Dettmers et al. 2023, QLoRA)."""


class FinetuneNetwork(ABC, nn.Module):
    """A source model, trained on batches of `hanner_models.finetune.features`.

    Attributes:
        head: linear layer and CRF.
    """

    head: Head

    @abstractmethod
    def parts(self) -> Iterator[nn.Module]:
        """Yield the parts of the network that are trained, without the head."""

    @abstractmethod
    def scores(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores float32 [rows, length, labels] of the labelled units, where they are, and their counts [rows].

        The second tensor is int64 [rows, length]: the columns of the units in the batch's tags.
        """

    def loss(self, batches: Sequence[Any], weights: Sequence[float] = (1.0,)) -> Tensor:
        """Return the mean negative log-likelihood per labelled unit.

        Args:
            batches: the same texts with one or more labellings.
            weights: of the labellings; their sum is 1.
        """
        emissions, columns, counts = self.scores(batches[0])
        crf = self.head.crf
        with torch.autocast(emissions.device.type, enabled=False):
            summed = crf.log_partition(emissions, counts).sum()
            for batch, weight in zip(batches, weights, strict=True):
                tags = _tensor(batch.tags).gather(1, columns).clamp(min=0)
                summed = summed - weight * crf.path_scores(emissions, tags, counts).sum()
        loss: Tensor = summed / counts.sum()
        return loss

    @abstractmethod
    def merged_state(self) -> dict[str, Tensor]:
        """Return the weights by their names in a Source, with adapters merged. The network cannot be used after it."""

    def _load_head(self, source: Source) -> None:
        self.head.load_state_dict({name: torch.tensor(source.weights[name]) for name in self.head.state_dict()})


class TokenNetwork(FinetuneNetwork):
    """Encoder and head of a model that labels tokens."""

    def __init__(self, source: Source, *, dropout: float, lora: bool) -> None:
        super().__init__()
        encoder = encoder_from_weights(source.weights, source.shape)
        encoder.set_attn_implementation("eager")  # fused attention makes a step on a CPU a fifth to a half slower
        set_dropout(encoder, dropout)
        self.encoder = add_lora(encoder) if lora else encoder
        self.dropout = nn.Dropout(dropout)
        self.head = Head(encoder.config.hidden_size, len(source.labels))
        self._load_head(source)

    def parts(self) -> Iterator[nn.Module]:
        """Yield the encoder."""
        yield self.encoder

    def scores(self, batch: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of labelled tokens; the tags of others are negative."""
        input_ids, attention_mask, tags = map(_tensor, batch[:3])
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        emissions = self.head.linear(self.dropout(states))[:, 1:-1].float()
        counts = (tags >= 0).sum(1)
        # Labelled tokens are moved to the front, so that they are neighbours for the CRF.
        columns = (tags < 0).long().argsort(dim=1, stable=True)[:, : int(counts.max())]
        return emissions.gather(1, columns[:, :, None].expand(-1, -1, emissions.shape[2])), columns, counts

    def merged_state(self) -> dict[str, Tensor]:
        """Return the weights of encoder and head."""
        return {**_merge(self.encoder).state_dict(), **self.head.state_dict()}


class PieceNetwork(FinetuneNetwork):
    """The network of a model that labels the characters of word pieces."""

    def __init__(self, source: Source, *, dropout: float, lora: bool) -> None:
        super().__init__()
        encoder = encoder_from_weights(source.weights, source.shape)
        count = len(source.weights[CHARACTER_TABLE])
        config = BertConfig(**encoder.config.to_dict() | {"character_count": count})
        tagger = PieceTagger(config, dropout, len(source.labels))
        own = {name: value for name, value in tagger.state_dict().items() if name in source.weights}
        tagger.load_state_dict({name: torch.tensor(source.weights[name]) for name in own}, strict=False)
        tagger.encoder = add_lora(encoder) if lora else encoder
        if lora:
            tagger.top = add_lora(tagger.top)
            for part in (tagger.characters, tagger.places, tagger.norm):
                part.requires_grad_(False)
        self.tagger = tagger
        self._load_head(source)

    @property
    def head(self) -> Head:  # type: ignore[override]
        """Linear layer and CRF."""
        return self.tagger.head

    def parts(self) -> Iterator[nn.Module]:
        """Yield the encoder, and what follows it."""
        yield from (self.tagger.encoder, self.tagger.characters, self.tagger.places, self.tagger.norm, self.tagger.top)

    def scores(self, batch: PieceBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of the characters."""
        *inputs, lengths = map(_tensor, batch[:-1])
        emissions = self.tagger(*inputs, lengths)
        columns = torch.arange(emissions.shape[1], device=lengths.device).expand(emissions.shape[:2])
        return emissions, columns, lengths

    def merged_state(self) -> dict[str, Tensor]:
        """Return the weights of encoder, characters, last layer and head."""
        tagger = self.tagger
        state = {**_merge(tagger.encoder).state_dict(), **self.head.state_dict()}
        for prefix, part in (
            ("characters", tagger.characters),
            ("places", tagger.places),
            (CHARACTER_NORM, tagger.norm),
            (CHARACTER_LAYER, _merge(tagger.top)),
        ):
            state |= {f"{prefix}.{name}": value for name, value in part.state_dict().items()}
        return state


def make_network(source: Source, *, dropout: float, lora: bool) -> FinetuneNetwork:
    """Return the network of a tagger."""
    kind = PieceNetwork if source.shape.characters else TokenNetwork
    return kind(source, dropout=dropout, lora=lora)


def add_lora(encoder: nn.Module) -> nn.Module:
    """Return the encoder with LoRA adapters (Hu et al. 2021); all its other weights are frozen.

    Raises:
        OptionError: peft is not installed.
    """
    try:
        from peft import LoraConfig  # noqa: PLC0415
        from peft.tuners.lora import LoraModel  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise OptionError(f"{error.name} is not installed; --lora needs it: {install_hint('models')}") from None
    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, lora_dropout=0.0, target_modules=_LORA_TARGETS)
    model: nn.Module = LoraModel(encoder, config, "default")
    return model


def set_dropout(encoder: nn.Module, share: float) -> None:
    """Set the dropout of all layers except attention: PyTorch's fused attention on a CPU does not support it."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith("attention.self.dropout") else share


def to_source(base: Source, network: FinetuneNetwork, weights: Mapping[str, Any]) -> Source:
    """Return the base with the weights `weights`, a state_dict of `network`, with adapters merged."""
    network = copy.deepcopy(network)
    network.load_state_dict(weights)
    arrays = {name: value.detach().float().cpu().numpy() for name, value in network.merged_state().items()}
    return replace(base, weights={name: arrays[name] for name in base.weights})


def _merge(module: nn.Module) -> nn.Module:
    """Return a module with its LoRA adapters merged, if it has some."""
    merged: nn.Module = module.merge_and_unload() if hasattr(module, "merge_and_unload") else module
    return merged


def _tensor(array: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(default_device())
