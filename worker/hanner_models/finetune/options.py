"""What a fine-tune can be told, and the defaults for each method. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

from hanner.errors import HannerError
from hanner_models.train.config import TagConfig

_BASE_WIDTH = 768


class OptionError(HannerError):
    """An option cannot be used."""


@dataclass(frozen=True)
class Options:
    """How to tune; None takes the method's default.

    Attributes:
        lora: train LoRA adapters and the head instead of all weights.
        epochs: times each sentence is seen.
        steps: batches, instead of epochs.
        learning_rate: peak, of the encoder or its adapters.
        batch_tokens: budget of a batch, padding included.
        replace_share: share of the sentences with names in which half of these become others of the data.
        blend: share of the tuned weights in the result, the rest is the base's; 1 takes the tuned ones.
        seed: of all that is drawn.
        patience: evaluations, of ten in a run, without a better F1 after which it stops.
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
                raise OptionError(f"--{name.replace('_', '-')} must be above 0, and is {value}")
        if not 0 < self.blend <= 1:
            raise OptionError(f"--blend must be above 0 and at most 1, and is {self.blend}")
        if self.epochs is not None and self.steps is not None:
            raise OptionError("--epochs and --steps say the same thing; give one of them")

    def peak(self, hidden: int) -> float:
        """Return the learning rate: that of BERT-base for its width, more for narrower encoders."""
        if self.learning_rate is not None:
            return self.learning_rate
        return (5e-4 if self.lora else 5e-5) * _BASE_WIDTH / hidden

    def total(self, epoch_steps: int) -> int:
        """Return how many steps to run."""
        return self.steps or max(1, round((self.epochs or 5) * epoch_steps))

    def examples(self, most: int) -> TagConfig:
        """Return how batches are drawn for a model that takes at most so many tokens."""
        return TagConfig(
            corpora=(),
            dev=(),
            steps=1,
            batch_tokens=self.batch_tokens,
            join_share=0.1,
            join_chars=min(240, most),
            replace_share=self.replace_share,
            noise_share=0.1,
        )

    def record(self) -> dict[str, Any]:
        """Return them for the manifest."""
        return {key: value for key, value in asdict(self).items() if value is not None}
