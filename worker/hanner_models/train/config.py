"""The configuration of a training run, read from one TOML file."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hanner.errors import HannerError
from hanner_models.source.architecture import Activation


class ConfigError(HannerError):
    """The training configuration is invalid. Correct the key that the message names."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderConfig(_Part):
    """Shape of the BERT encoder."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    feed_forward: int = 1024
    activation: Activation = "gelu"
    """Between the feed-forward layers; relu is free in INT8 with static scales."""
    max_length: int = 512
    bigram_rows: int = 0
    """Rows of the table of hashed bigrams, see hanner_models.conversion.torch_model; 0 disables bigrams."""
    bigram_width: int = 64


class PretrainConfig(_Part):
    """Masked-language pretraining on running text."""

    texts: tuple[str, ...]
    """Files in the data folder; `name:N` reads a file N times per epoch, N may be a fraction."""
    steps: int
    batch_tokens: int = 8192
    length: int = 128
    mask_share: float = 0.2
    words: bool = False
    """Whether the encoder also learns to segment and tag the words of a dictionary, see word_tags.py."""
    learning_rate: float = 1e-3
    warmup: int = 200


class TagConfig(_Part):
    """Training on labelled sentences."""

    corpora: tuple[str, ...]
    """Labelled files; `name:N` as in PretrainConfig.texts."""
    auxiliary: tuple[str, ...] = ()
    """Corpora with other annotation guidelines. They train the encoder through an auxiliary head, which is dropped."""
    dev: tuple[str, ...]
    steps: int
    batch_tokens: int = 4096
    learning_rate: float = 5e-4
    crf_learning_rate: float = 5e-3
    warmup: int = 200
    dropout: float = 0.1
    bigrams_hidden: float = 0.0
    """Share of the tokens that the bigram embedding does not see in training."""
    words: float = 0.0
    """Weight of the loss of the head for word tags, which is dropped at the end; 0 disables the head."""
    join_share: float = 0.2
    """Share of the examples that join consecutive sentences, so that the model sees long windows."""
    join_chars: int = 240
    replace_share: float = 0.25
    """Share of the sentences in which names are replaced by others of the same type."""
    templates: tuple[str, ...] = ()
    """Sentences with slots, `{PER}加盟{ORG}`, for topics that are more recent than the corpora."""
    template_copies: int = 100
    """Number of sentences per template and epoch."""
    noise_share: float = 0.1
    """Share of the sentences whose punctuation is changed or removed."""
    average_decay: float = 0.999
    evaluate_every: int = 1000


class TrainConfig(_Part):
    """The configuration of one training run."""

    name: str
    seed: int = 1
    encoder: EncoderConfig = EncoderConfig()
    vectors: str | None = None
    """Folder with char_200d.npz and chars.txt, the initial character embeddings."""
    gazetteers: dict[str, tuple[str, ...]] = {}
    """Files with names, one per line, by entity type."""
    licences: tuple[dict[str, str], ...] = ()
    """Data sets and their licences, for the manifest."""
    pretrain: PretrainConfig
    tag: TagConfig
    checkpoint_every: int = 200

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the configuration in a TOML file.

        Raises:
            ConfigError: the file is missing, is not valid TOML, or has an unknown key or an invalid value.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the configuration {path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{path}: {key}: {first['msg']}") from None
