"""The options of a fine-tune, and their defaults for each method. No I/O."""

from dataclasses import asdict, dataclass
from typing import Any

from hanner.errors import HannerError
from hanner_models.train.config import TagConfig

_BASE_WIDTH = 768


class OptionError(HannerError):
    """An option of the fine-tune is invalid. The message names it and its range."""


@dataclass(frozen=True)
class FinetuneOptions:
    """The options of a fine-tune; None means the method's default.

    Attributes:
        lora: train LoRA adapters and the head instead of all weights.
        epochs: passes over the data.
        steps: number of batches, instead of epochs.
        learning_rate: peak learning rate of the encoder or its adapters.
        batch_tokens: maximum number of tokens per batch, padding included.
        replace_share: share of the sentences in which half of the names are replaced by others in the data.
        blend: share of the tuned weights in the result; the rest is the base's weights.
        seed: of all random choices.
        patience: number of evaluations without a better F1 after which training stops; a run has ten evaluations.
    """

    lora: bool = False
    epochs: float | None = None
    steps: int | None = None
    learning_rate: float | None = None
    batch_tokens: int = 1024
    replace_share: float = 0.5
    blend: float = 1.0
    seed: int = 1
    patience: int = 4

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "learning_rate", "batch_tokens", "patience"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"--{name.replace('_', '-')} must be above 0, but is {value}")
        if not 0 < self.blend <= 1:
            raise OptionError(f"--blend must be above 0 and at most 1, but is {self.blend}")
        if self.epochs is not None and self.steps is not None:
            raise OptionError("--epochs and --steps exclude each other; give only one of them")

    def peak_learning_rate(self, hidden: int) -> float:
        """Return the peak learning rate; the default is inversely proportional to the width of the encoder."""
        if self.learning_rate is not None:
            return self.learning_rate
        return (5e-4 if self.lora else 5e-5) * _BASE_WIDTH / hidden

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of steps of the run."""
        return self.steps or max(1, round((self.epochs or 5) * steps_per_epoch))

    def sampling_config(self, max_tokens: int) -> TagConfig:
        """Return the configuration for sampling batches for a model with rows of up to `max_tokens` tokens."""
        return TagConfig(
            corpora=(),
            dev=(),
            steps=1,
            batch_tokens=self.batch_tokens,
            join_share=0.1,
            join_chars=min(240, max_tokens),
            replace_share=self.replace_share,
            noise_share=0.1,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the options that are set, for the manifest."""
        return {key: value for key, value in asdict(self).items() if value is not None}
