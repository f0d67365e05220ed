"""The network of a fine-tune: encoder and head in torch, optionally with LoRA adapters. Imports torch."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hanner.utils.packaging import install_hint
from hanner_models.conversion.torch_model import encoder_from_weights
from hanner_models.finetune.options import OptionError
from hanner_models.source import Source
from hanner_models.train.model import Head

LORA_RANK = 16
"""Rank of the LoRA matrices; their product is scaled by 2, as usual."""
_LORA_TARGETS = r".*encoder\.layer\.\d+\..*(query|key|value|dense)"
"""All linear layers of the encoder: adapters on only some of them learn less (Dettmers et al. 2023, QLoRA)."""


class FinetuneNetwork(nn.Module):
    """Encoder and head of a source model, trained on batches of hanner_models.finetune.features."""

    def __init__(self, source: Source, *, dropout: float, lora: bool) -> None:
        super().__init__()
        encoder = encoder_from_weights(source.weights, source.shape)
        set_dropout(encoder, dropout)
        self.encoder = add_lora(encoder) if lora else encoder
        self.dropout = nn.Dropout(dropout)
        self.head = Head(encoder.config.hidden_size, len(source.labels))
        self.head.load_state_dict({name: torch.tensor(source.weights[name]) for name in self.head.state_dict()})

    def loss(self, input_ids: Tensor, attention_mask: Tensor, tags: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of labelled tokens; other `tags` [rows, length - 2] are negative."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        emissions = self.head.linear(self.dropout(states))[:, 1:-1].float()
        counts = (tags >= 0).sum(1)
        # Labelled tokens are moved to the front, so that they are neighbours for the CRF.
        order = (tags < 0).long().argsort(dim=1, stable=True)[:, : int(counts.max())]
        emissions = emissions.gather(1, order[:, :, None].expand(-1, -1, emissions.shape[2]))
        with torch.autocast(emissions.device.type, enabled=False):
            summed: Tensor = self.head.crf.loss(emissions, tags.gather(1, order).clamp(min=0), counts)
        return summed / counts.sum()


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
    encoder = network.encoder
    if hasattr(encoder, "merge_and_unload"):
        encoder = encoder.merge_and_unload()
    state = {**encoder.state_dict(), **network.head.state_dict()}
    arrays = {name: value.detach().float().cpu().numpy() for name, value in state.items()}
    return replace(base, weights={name: arrays[name] for name in base.weights})
