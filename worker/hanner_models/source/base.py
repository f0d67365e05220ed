"""What a source is, and the one error of reading and converting it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hanner.errors import HannerError
from hanner_inference.tokenization.tokens import TokenizerOptions
from hanner_models.conversion.graph import Shape


class ConversionError(HannerError):
    """The model cannot be converted."""


@dataclass(frozen=True)
class Source:
    """A trained tagger, read and checked.

    Attributes:
        weights: float32, by the names that `hanner_models.conversion.graph.parameter_names` lists, and `crf.*`.
        shape: of the encoder.
        labels: in the order of the logits.
        tokenizer: a tokenizer.json.
        options: how texts are prepared.
        spans: how label paths are read, see `hanner_inference.decoding.spans`.
        training: what the manifest says of its training; `source`, `revision` and `licences` have fields of their own.
    """

    weights: dict[str, NDArray[np.float32]]
    shape: Shape
    labels: tuple[str, ...]
    tokenizer: str
    options: TokenizerOptions
    spans: Literal["conll", "modelscope"] = "conll"
    training: dict[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConversionError: there is no such file, or it holds none.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConversionError(f"{path} is not JSON ({error}); fetch the model again") from None
    if not isinstance(content, dict):
        raise ConversionError(f"{path} does not hold an object; fetch the model again")
    return content


def read_json_if_there(path: Path) -> dict[str, Any]:
    """Read a JSON object that may be missing; then it is empty.

    Raises:
        ConversionError: the file is there and holds none.
    """
    return read_json(path) if path.exists() else {}
