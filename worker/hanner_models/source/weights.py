"""Read a tagger's weights from safetensors or from a weights-only pickle, under BertModel's names.

A tensor has different names in different frameworks: ModelScope puts the encoder under `encoder.` and the head under
`head.`, transformers under `bert.` and `classifier.`, AdaSeq under `embedder.transformer_model.`, a parallel trainer
puts `module.` before all of it, and TensorFlow's checkpoints call a LayerNorm's weight gamma and its bias beta.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from hanner.utils.packaging import install_hint
from hanner_inference.tokenization.pieces import PLACES
from hanner_models.source.architecture import (
    BIGRAM_PROJECTION,
    BIGRAM_TABLE,
    CHARACTER_LAYER,
    CHARACTER_NORM,
    CHARACTER_TABLE,
    PLACE_TABLE,
    EncoderShape,
    parameter_names,
)
from hanner_models.source.base import ConversionError

CRF = ("start_transitions", "end_transitions", "transitions")
FILES = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
"""Files with weights, in order of precedence."""

_ROOTS = ("embeddings.", "encoder.layer.", "linear.", "crf.", "pooler.")
_WRAPPERS = (
    "module.",
    "model.",
    "bert.",
    "encoder.",
    "embedder.",
    "transformer_model.",
    "backbone.",
    "base_model.",
    "head.",
)
_IGNORED = ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids")
"""Not used by a tagger: the pooling layer, and buffers of position and type ids."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that determine the shapes of all weights, from config.json and the labels."""

    hidden: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    labels: int
    bigrams: tuple[int, int] = (0, 0)
    """Rows and width of the bigram table, which only hanner's own models have."""
    characters: int = 0
    """Rows of the table of characters, if the model labels characters."""

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape that the weight `name` must have."""
        part, kind = name.rsplit(".", 1)
        if name in (tables := self._table_shapes()):
            return tables[name]
        if part == "crf":
            return (self.labels,) * (2 if kind == "transitions" else 1)
        if part.endswith("LayerNorm") or part == CHARACTER_NORM:
            return (self.hidden,)
        outputs = inputs = self.hidden
        inner = 2 * self.hidden if part.startswith(f"{CHARACTER_LAYER}.") else self.inner
        if part == "linear":
            outputs = self.labels
        elif part.endswith("intermediate.dense"):
            outputs = inner
        elif part.endswith("output.dense") and not part.endswith("attention.output.dense"):
            inputs = inner
        return (outputs, inputs) if kind == "weight" else (outputs,)

    def _table_shapes(self) -> Mapping[str, tuple[int, ...]]:
        rows = {"word": self.vocabulary, "position": self.positions, "token_type": self.types}
        return {f"embeddings.{kind}_embeddings.weight": (count, self.hidden) for kind, count in rows.items()} | {
            BIGRAM_TABLE: self.bigrams,
            BIGRAM_PROJECTION: (self.hidden, 2 * self.bigrams[1]),
            CHARACTER_TABLE: (self.characters, self.hidden),
            PLACE_TABLE: (PLACES, self.hidden),
        }


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the weights in `folder` by their names in BertModel, or `linear.*` or `crf.*`.

    Raises:
        ConversionError: no weights were found, they cannot be read, or two of them have the same name.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise ConversionError(f"{folder} has no weights; one of {', '.join(FILES)} is needed")
    state = _read_pickle(path) if path.suffix == ".bin" else load_safetensors(path)
    weights: dict[str, NDArray[Any]] = {}
    original_keys: dict[str, str] = {}
    for key, value in state.items():
        name = canonical_name(key)
        if name.startswith(_IGNORED):
            continue
        if name in original_keys:
            raise ConversionError(
                f"{path} has {original_keys[name]} and {key}, which are the same weight; remove one of them"
            )
        weights[name], original_keys[name] = value, key
    return weights


def canonical_name(key: str) -> str:
    """Return the name of a checkpoint's key in BertModel, or `linear.*` or `crf.*`; unknown keys are returned as is."""
    name = key
    while not name.startswith(_ROOTS):
        if name.startswith("classifier."):
            return name.replace("classifier.", "linear.", 1)
        wrapper = next((prefix for prefix in _WRAPPERS if name.startswith(prefix)), None)
        if wrapper is None:
            return key
        name = name.removeprefix(wrapper)
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name


def check_weights(
    folder: Path, weights: Mapping[str, NDArray[Any]], shape: EncoderShape, sizes: Sizes
) -> dict[str, NDArray[np.float32]]:
    """Check that the weights are exactly those of a BERT tagger, and return them in float32.

    A head without a CRF gets one with zero transitions, which is equivalent: the best path is then each token's best
    label, and a path's probability the product of its softmaxes.

    Raises:
        ConversionError: a weight is missing, unknown, of a wrong shape or not finite; the message names it.
    """
    crf = {f"crf.{part}" for part in CRF}
    if not crf & weights.keys():
        weights = {**weights, **{name: np.zeros(sizes.expected_shape(name), dtype=np.float32) for name in crf}}
    expected = parameter_names(shape) | crf
    for names, what in (
        (expected - weights.keys(), "lacks"),
        (weights.keys() - expected, "has an unknown weight:"),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ConversionError(f"the checkpoint in {folder} {what} {min(names)}{more}")
    checked = {}
    for name in sorted(expected):
        value = weights[name]
        if value.shape != sizes.expected_shape(name):
            raise ConversionError(
                f"the checkpoint in {folder} has {name} of shape {list(value.shape)}, but config.json and the labels "
                f"require {list(sizes.expected_shape(name))}"
            )
        checked[name] = value.astype(np.float32, copy=False)
        if not np.isfinite(checked[name]).all():
            raise ConversionError(f"the checkpoint in {folder} has {name} with infinite or NaN values")
    return checked


def load_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors in a file.

    Raises:
        ConversionError: the file cannot be read.
    """
    try:
        return load_file(path)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(
            f"{path} cannot be read ({error}); it is truncated or damaged: download it again"
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the step and the averaged weights of a checkpoint that a training run of hanner wrote.

    Raises:
        ConversionError: the file cannot be read, or has other content.
    """
    state = _load_pickle(path)
    if not isinstance(state, dict) or not isinstance(state.get("average"), dict) or not state["average"]:
        raise ConversionError(f"{path} is not a checkpoint with averaged weights")
    return {"step": state["step"], "average": {str(k): _to_numpy(v) for k, v in state["average"].items()}}


def _read_pickle(path: Path) -> dict[str, NDArray[Any]]:
    state = _load_pickle(path)
    import torch  # noqa: PLC0415 - installed, because the file was read

    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConversionError(f"{path} does not contain a state_dict, which maps names to tensors")
    return {str(name): _to_numpy(value) for name, value in state.items()}


def _load_pickle(path: Path) -> Any:
    """Return what `torch.save` wrote: only tensors and plain values."""
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConversionError(
            f"{path} can only be read with torch: {install_hint('models')}, or save the weights as safetensors"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise ConversionError(
            f"{path} is damaged, or is a pickle with more than weights, which is not loaded for safety; "
            "save only its state_dict, preferably as safetensors"
        ) from None
    except Exception as error:  # noqa: BLE001  torch raises RuntimeError, EOFError, KeyError … for files that are not checkpoints
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConversionError(
            f"{path} cannot be read ({first}); it is truncated or damaged: download it again"
        ) from None
    return state


def _to_numpy(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array
