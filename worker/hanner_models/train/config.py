"""What a training run is made of, read from one TOML file. No I/O beyond that file."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hanner.errors import HannerError
from hanner_models.conversion.graph import Activation


class ConfigError(HannerError):
    """The training configuration cannot be used."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderConfig(_Part):
    """Shape of the BERT encoder."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    feed_forward: int = 1024
    activation: Activation = "gelu"
    """Between the feed-forward layers; relu costs nothing in INT8 with static scales."""
    max_length: int = 512
    bigram_rows: int = 0
    """Rows of the table of hashed bigrams, see hanner_models.encoder; 0: none."""
    bigram_width: int = 64


class PretrainConfig(_Part):
    """Masked-language pretraining on running text."""

    texts: tuple[str, ...]
    """Files below the data folder; `name:N` reads the file N times an epoch, N may be a fraction."""
    steps: int
    batch_tokens: int = 8192
    length: int = 128
    mask_share: float = 0.2
    words: bool = False
    """Whether the encoder also learns to tell a dictionary's words and their parts of speech, see words.py."""
    learning_rate: float = 1e-3
    warmup: int = 200


class TagConfig(_Part):
    """Training on labelled sentences."""

    corpora: tuple[str, ...]
    """Like PretrainConfig.texts: JSONL files, `name:N` for N times an epoch."""
    auxiliary: tuple[str, ...] = ()
    """Corpora of other guidelines: they teach the encoder through a head of their own, which is then dropped."""
    dev: tuple[str, ...]
    steps: int
    batch_tokens: int = 4096
    learning_rate: float = 5e-4
    crf_learning_rate: float = 5e-3
    warmup: int = 200
    dropout: float = 0.1
    bigrams_hidden: float = 0.0
    """Share of the tokens whose bigrams the encoder does not see while it is trained."""
    words: float = 0.0
    """Weight of the loss of a head that goes on telling words, as in pretraining, and is dropped; 0: no such head."""
    join_share: float = 0.2
    """Share of the rows that join several sentences in a row, so that long windows are seen."""
    join_chars: int = 240
    replace_share: float = 0.25
    """Share of the sentences in which names are replaced by others of their type."""
    templates: tuple[str, ...] = ()
    """Sentences with slots, `{PER}加盟{ORG}`, filled with names: what the corpora's years do not speak of."""
    template_copies: int = 100
    """Times each template is filled an epoch."""
    noise_share: float = 0.1
    """Share of the sentences whose letters, digits or punctuation change form."""
    average_decay: float = 0.999
    evaluate_every: int = 1000


class TrainConfig(_Part):
    """One training run."""

    name: str
    seed: int = 1
    encoder: EncoderConfig = EncoderConfig()
    vectors: str | None = None
    """Folder with char_200d.npz and chars.txt to start the character table from."""
    gazetteers: dict[str, tuple[str, ...]] = {}
    """Entity type to files of names, one a line."""
    licences: tuple[dict[str, str], ...] = ()
    """What the data is and under which licence, for the manifest."""
    pretrain: PretrainConfig
    tag: TagConfig
    checkpoint_every: int = 200

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigError: the file is missing, is no TOML, or has a key or value that is not known.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the configuration {path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{path}: {where}: {first['msg']}") from None
