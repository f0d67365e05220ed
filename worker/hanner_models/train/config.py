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


class SampleConfig(_Part):
    """The labelled sentences of a run, and how they are joined, changed and batched."""

    corpora: tuple[str, ...]
    """Labelled files; `name:N` as in PretrainConfig.texts."""
    auxiliary: tuple[str, ...] = ()
    """Corpora with other annotation guidelines. They train the encoder through an auxiliary head, which is dropped."""
    annotated: tuple[str, ...] = ()
    """Files of running text whose names are in the folder `annotations`, see annotations.py; `name:N` as above."""
    harmonise: bool = False
    """Whether labels in `corpora` are changed to our guideline where it differs, see guideline.py."""
    dev: tuple[str, ...]
    batch_tokens: int = 4096
    join_share: float = 0.2
    """Share of the examples that join consecutive sentences, so that the model sees long windows."""
    join_chars: int = 240
    replace_share: float = 0.25
    """Share of the sentences in which names are replaced by others of the same type."""
    templates: tuple[str, ...] = ()
    """Sentences with slots, `{PER}加盟{ORG}`, for topics that are more recent than the corpora."""
    shipped_templates: bool = False
    """Whether the sentences in templates.txt are used too."""
    template_copies: int = 100
    """Number of sentences per template and epoch."""
    shipped_sentences: float = 0.0
    """Number of times that an epoch has each sentence in the folder sentences; may be a fraction."""
    noise_share: float = 0.1
    """Share of the sentences whose punctuation is changed or removed."""
    traditional_share: float = 0.0
    """Share of the sentences that are converted to traditional characters; useless if the model folds them."""
    case_share: float = 0.0
    """Share of the sentences whose Latin letters are changed to lower or upper case."""
    forms_of_address: bool = False
    """Whether names are also replaced by a surname with a form of address, such as 王总."""
    latin_names: bool = False
    """Whether names are also replaced by Latin ones."""
    evaluate_every: int = 1000


class TagConfig(SampleConfig):
    """Training on labelled sentences."""

    steps: int
    learning_rate: float = 5e-4
    crf_learning_rate: float = 5e-3
    warmup: int = 200
    dropout: float = 0.1
    bigrams_hidden: float = 0.0
    """Share of the tokens that the bigram embedding does not see in training."""
    words: float = 0.0
    """Weight of the loss of the head for word tags, which is dropped at the end; 0 disables the head."""
    average_decay: float = 0.999


class TeachConfig(SampleConfig):
    """Training of the teacher, see hanner_models.train.teacher."""

    steps: int
    max_length: int = 250
    """Characters after which a row is truncated."""
    fold_traditional: bool = False
    """Whether the model replaces traditional characters by simplified ones, in training and afterwards."""
    layers: int | None = None
    """Layers of the encoder that are kept, from the first one; fewer make the package smaller and faster."""
    activation: Activation = "gelu"
    """Between the feed-forward layers. The encoder was pretrained with gelu; relu is faster, see engine.md."""
    learning_rate: float = 1.2e-4
    """Peak of the encoder's last layer."""
    layer_decay: float = 0.93
    """Factor from a layer's learning rate to that of the layer below."""
    head_learning_rate: float = 5e-4
    """Peak of the layer over characters and of the heads, which start from random weights."""
    crf_learning_rate: float = 2e-3
    warmup: int = 100
    dropout: float = 0.1
    average_decay: float = 0.995
    blend: float = 1.0
    """Share of the trained weights in the result; the rest are those of the model that the run started with."""
    dev_limit: int | None = None
    """Sentences of each dev file that are evaluated during training; at the end all are."""


class DistilConfig(SampleConfig):
    """Training of a student on labellings by a teacher, see hanner_models.distil."""

    steps: int
    unlabelled: tuple[str, ...]
    """Files whose texts only the teacher labels; `name:N` as in PretrainConfig.texts."""
    draws: int = 4
    """Labellings that the teacher draws for each text."""
    gold_share: float = 0.5
    """Weight of a sentence's own labels; the rest is that of the teacher's labellings."""
    learning_rate: float = 5e-4
    crf_learning_rate: float = 5e-3
    warmup: int = 200
    dropout: float = 0.1
    average_decay: float = 0.999
    dev_limit: int | None = None
    """Sentences of each dev file that are evaluated during training."""


class _RunConfig(_Part):
    """What all runs have."""

    name: str
    seed: int = 1
    gazetteers: dict[str, tuple[str, ...]] = {}
    """Files with names, one per line, by entity type."""
    licences: tuple[dict[str, str], ...] = ()
    """Data sets and their licences, for the manifest."""
    checkpoint_every: int = 200

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the configuration in a TOML file.

        Raises:
            ConfigError: the file is missing, is not valid TOML, or has an unknown key or an invalid value.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"cannot read the configuration {path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{path}: {key}: {first['msg']}") from None


class TrainConfig(_RunConfig):
    """The configuration of one training run."""

    encoder: EncoderConfig = EncoderConfig()
    vectors: str | None = None
    """Folder with char_200d.npz and chars.txt, the initial character embeddings."""
    pretrain: PretrainConfig
    tag: TagConfig


class TeacherConfig(_RunConfig):
    """The configuration of a run that trains a teacher."""

    vocabulary: tuple[str, ...]
    """Files of texts or names, in which pieces and characters are counted to choose those to keep."""
    teach: TeachConfig


class DistilRunConfig(_RunConfig):
    """The configuration of a distillation."""

    distil: DistilConfig
