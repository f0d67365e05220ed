"""A source's encoder and head in torch, to be tuned whole or by LoRA adapters, and back to a source."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hanner.utils.packaging import install_hint
from hanner_models.encoder import encoder_of
from hanner_models.finetune.options import OptionError
from hanner_models.source import Source
from hanner_models.train.model import Head

RANK = 16
"""Of LoRA's matrices; their product is scaled by 2, as is usual."""
_ADAPTED = r".*encoder\.layer\.\d+\..*(query|key|value|dense)"
"""All linear layers of the encoder: adapters on some of them alone learn less (Dettmers et al. 2023, QLoRA)."""


class Tuned(nn.Module):
    """Encoder and head, trained on rows of hanner_models.finetune.features."""

    def __init__(self, source: Source, *, dropout: float, lora: bool) -> None:
        super().__init__()
        encoder = encoder_of(source.weights, source.shape)
        set_dropout(encoder, dropout)
        self.encoder = adapted(encoder) if lora else encoder
        self.dropout = nn.Dropout(dropout)
        self.head = Head(encoder.config.hidden_size, len(source.labels))
        self.head.load_state_dict({name: torch.tensor(source.weights[name]) for name in self.head.state_dict()})

    def loss(self, input_ids: Tensor, attention_mask: Tensor, tags: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of a labelled token; `tags` [rows, length - 2], negative for none."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        emissions = self.head.linear(self.dropout(states))[:, 1:-1].float()
        counts = (tags >= 0).sum(1)
        # Labelled tokens move together: where only first pieces have labels, those are neighbours for the CRF.
        order = (tags < 0).long().argsort(dim=1, stable=True)[:, : int(counts.max())]
        emissions = emissions.gather(1, order[:, :, None].expand(-1, -1, emissions.shape[2]))
        with torch.autocast(emissions.device.type, enabled=False):
            summed: Tensor = self.head.crf.loss(emissions, tags.gather(1, order).clamp(min=0), counts)
        return summed / counts.sum()


def adapted(encoder: nn.Module) -> nn.Module:
    """Put LoRA adapters (Hu et al. 2021) on the encoder; all else in it is frozen.

    Raises:
        OptionError: peft is not installed.
    """
    try:
        from peft import LoraConfig  # noqa: PLC0415
        from peft.tuners.lora import LoraModel  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise OptionError(f"{error.name} is not installed; --lora needs it: {install_hint('models')}") from None
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=_ADAPTED)
    model: nn.Module = LoraModel(encoder, config, "default")
    return model


def set_dropout(encoder: nn.Module, share: float) -> None:
    """Set the dropout of all layers but attention's: PyTorch's fused attention on a CPU takes none."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith("attention.self.dropout") else share


def to_source(base: Source, tuned: Tuned, weights: Mapping[str, Any]) -> Source:
    """Return the tagger that `weights`, a state of `tuned`, are; adapters are merged."""
    network = copy.deepcopy(tuned)
    network.load_state_dict(weights)
    encoder = network.encoder
    if hasattr(encoder, "merge_and_unload"):
        encoder = encoder.merge_and_unload()
    state = {**encoder.state_dict(), **network.head.state_dict()}
    arrays = {name: value.detach().float().cpu().numpy() for name, value in state.items()}
    return replace(base, weights={name: arrays[name] for name in base.weights})
