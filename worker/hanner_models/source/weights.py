"""Reads a tagger's weights from safetensors or from a pickle of nothing but weights, under the names BertModel has.

The same tensor has many names in the wild: ModelScope puts the encoder under `encoder.` and the head under `head.`,
transformers under `bert.` and `classifier.`, AdaSeq under `embedder.transformer_model.`, a parallel trainer puts
`module.` before all of it, and TensorFlow's checkpoints call a LayerNorm's weight gamma and its bias beta.
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
from hanner_models.conversion.graph import BIGRAM_PROJECTION, BIGRAM_TABLE, Shape, parameter_names
from hanner_models.source.base import ConversionError

CRF = ("start_transitions", "end_transitions", "transitions")
FILES = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
"""Where weights are looked for; the first that is there is read."""

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
"""Not used by a tagger: the sentence vector's layer, and buffers that only count."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What config.json and the labels say of the weights' shapes."""

    hidden: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    labels: int
    bigrams: tuple[int, int] = (0, 0)
    """Rows and width of the table of bigrams, which only hanner's own models have."""

    def of(self, name: str) -> tuple[int, ...]:
        """Return the shape that the weight `name` must have."""
        part, kind = name.rsplit(".", 1)
        if name == BIGRAM_TABLE:
            return self.bigrams
        if name == BIGRAM_PROJECTION:
            return self.hidden, 2 * self.bigrams[1]
        tables = {"word": self.vocabulary, "position": self.positions, "token_type": self.types}
        for table, rows in tables.items():
            if part == f"embeddings.{table}_embeddings":
                return rows, self.hidden
        if part == "crf":
            return (self.labels,) * (2 if kind == "transitions" else 1)
        if part.endswith("LayerNorm"):
            return (self.hidden,)
        outputs = inputs = self.hidden
        if part == "linear":
            outputs = self.labels
        elif part.endswith("intermediate.dense"):
            outputs = self.inner
        elif part.endswith("output.dense") and not part.endswith("attention.output.dense"):
            inputs = self.inner
        return (outputs, inputs) if kind == "weight" else (outputs,)


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the weights in `folder` and give each the name that BertModel has, or `linear.*` or `crf.*`.

    Raises:
        ConversionError: there are none, they cannot be read, or two of them have the same name.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise ConversionError(f"{folder} has no weights; it should have one of {', '.join(FILES)}")
    state = _read_pickle(path) if path.suffix == ".bin" else _read_safetensors(path)
    weights: dict[str, NDArray[Any]] = {}
    given: dict[str, str] = {}
    for key, value in state.items():
        name = canonical(key)
        if name.startswith(_IGNORED):
            continue
        if name in given:
            raise ConversionError(f"{path} has {given[name]} and {key}, which are the same weight; keep one of them")
        weights[name], given[name] = value, key
    return weights


def canonical(key: str) -> str:
    """Return the name that a key of a checkpoint has in BertModel, or `linear.*` or `crf.*`; others are left."""
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
    folder: Path, weights: Mapping[str, NDArray[Any]], shape: Shape, sizes: Sizes
) -> dict[str, NDArray[np.float32]]:
    """Check that the weights are exactly those of a BERT tagger, and return them in float32.

    A head without a CRF gets one with zero transitions, which is the same model: the best path is then each token's
    best label, and a path's probability the product of its softmaxes.

    Raises:
        ConversionError: one is missing, unknown, of a wrong shape or not finite; the sentence names it.
    """
    crf = {f"crf.{part}" for part in CRF}
    if not crf & weights.keys():
        weights = {**weights, **{name: np.zeros(sizes.of(name), dtype=np.float32) for name in crf}}
    expected = parameter_names(shape) | crf
    for names, what in (
        (expected - weights.keys(), "lacks"),
        (weights.keys() - expected, "has what no BERT tagger has:"),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ConversionError(f"the checkpoint in {folder} {what} {min(names)}{more}")
    checked = {}
    for name in sorted(expected):
        value = weights[name]
        if value.shape != sizes.of(name):
            raise ConversionError(
                f"the checkpoint in {folder} has {name} of shape {list(value.shape)}, and config.json and the labels "
                f"ask for {list(sizes.of(name))}"
            )
        checked[name] = value.astype(np.float32, copy=False)
        if not np.isfinite(checked[name]).all():
            raise ConversionError(f"the checkpoint in {folder} has {name} with values that are no numbers")
    return checked


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return load_file(path)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{path} cannot be read ({error}); it is cut off or damaged: fetch it again") from None


def _read_pickle(path: Path) -> dict[str, NDArray[Any]]:
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConversionError(
            f"{path} can only be read with torch: {install_hint('models')}, or save the weights as safetensors"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise ConversionError(
            f"{path} is a pickle that holds more than weights, or is damaged, and is not opened; "
            "save its state_dict alone, best as safetensors"
        ) from None
    except Exception as error:  # noqa: BLE001  torch raises RuntimeError, EOFError, KeyError … for what is no checkpoint
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConversionError(f"{path} cannot be read ({first}); it is cut off or damaged: fetch it again") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConversionError(f"{path} does not hold a state_dict, which maps names to tensors")
    return {str(name): _to_numpy(value) for name, value in state.items()}


def _to_numpy(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array
