"""Source, the trained tagger that a conversion starts from, and the error raised if reading or converting fails."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hanner.errors import HannerError
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.tokenizer import TextTokenizer, make_tokenizer
from hanner_models.source.architecture import EncoderShape


class ConversionError(HannerError):
    """The model cannot be converted. The message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Source:
    """A trained tagger, read and checked.

    Attributes:
        weights: float32, by the names that `hanner_models.source.architecture.parameter_names` returns, and `crf.*`.
        shape: of the encoder.
        labels: in the order of the logits.
        tokenizer: content of a tokenizer.json.
        options: how texts are prepared for the tokenizer.
        characters: those that have a vector of their own, if the model labels characters of word pieces.
        spans: how label paths become entities, see `hanner_inference.decoding.spans`.
        consistent_types: whether the mentions of one name in a text get the same type.
        training: metadata for the manifest; `source`, `revision` and `licences` become fields of their own there.
    """

    weights: dict[str, NDArray[np.float32]]
    shape: EncoderShape
    labels: tuple[str, ...]
    tokenizer: str
    options: TokenizerOptions
    spans: Literal["conll", "modelscope"] = "conll"
    consistent_types: bool = False
    training: dict[str, Any] = field(default_factory=dict)
    characters: tuple[str, ...] = ()

    def make_tokenizer(self) -> TextTokenizer:
        """Return the tokenizer.

        Raises:
            ValueError: it is not a tokenizer.
        """
        return make_tokenizer(self.tokenizer, self.options, self.characters)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ConversionError: the file is missing or does not contain a JSON object.
    """
    try:
        if path.exists() and not path.is_file():  # reading a FIFO would not end
            raise ConversionError(f"{path} is not a regular file; download the model again")
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{path} is not valid JSON ({error}); download the model again") from None
    if not isinstance(content, dict):
        raise ConversionError(f"{path} does not contain a JSON object; download the model again")
    return content


def read_optional_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one if the file is missing.

    Raises:
        ConversionError: the file exists and does not contain a JSON object.
    """
    return read_json(path) if path.exists() else {}
