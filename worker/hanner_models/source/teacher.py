"""Read the folder of a teacher's run: a tagger over word pieces that labels characters.

The folder has `teacher.json` (the configuration), the encoder's `encoder.json`, `pieces.json` and `characters.txt`, and
the weights: `teacher.safetensors`, or the checkpoint `teacher.pt` while the training is not finished.
"""

import json
from pathlib import Path
from typing import Any, get_args

from numpy.typing import NDArray

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.pieces import UNKNOWN
from hanner_models.source.architecture import Activation, EncoderShape
from hanner_models.source.base import ConversionError, Source, read_json
from hanner_models.source.weights import Sizes, check_weights, load_checkpoint, load_safetensors

CONFIG, WEIGHTS, CHECKPOINT = "teacher.json", "teacher.safetensors", "teacher.pt"
ENCODER, PIECES, CHARACTERS = "encoder.json", "pieces.json", "characters.txt"
BEGIN, END = 2, 3
"""Ids of the pieces before and after every window."""
LABELS = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG") for prefix in "BIES"))
_SPECIAL = 4
_PREFIX = 1
"""The tokenizer may add a space before a window, so a window can have one piece more than characters."""
_AUXILIARY = "auxiliary."


def is_teacher(folder: Path) -> bool:
    """Return whether the folder is that of a teacher's run."""
    return (folder / CONFIG).is_file()


def piece_options(max_chars: int, *, fold_traditional: bool = False) -> TokenizerOptions:
    """Return how texts are prepared for a teacher that reads at most `max_chars` characters at once."""
    return TokenizerOptions(
        lowercase=False,
        half_width=False,
        compatible=True,
        fold_traditional=fold_traditional,
        max_length=max_chars + SPECIAL_TOKENS,
        cls_id=BEGIN,
        sep_id=END,
        split="pieces",
    )


def read_teacher(folder: Path) -> Source:
    """Return the tagger in the folder of a teacher's run.

    Raises:
        ConversionError: a file is missing or cannot be used; the message names it and what is wrong with it.
    """
    config, encoder = read_json(folder / CONFIG), read_json(folder / ENCODER)
    characters = tuple(_read_text(folder / CHARACTERS).split("\n"))
    try:
        max_chars, seed = int(config["teach"]["max_length"]), config["seed"]
        shape = EncoderShape(
            layers=min(int(config["teach"].get("layers") or encoder["layers"]), int(encoder["layers"])),
            heads=int(encoder["heads"]),
            max_length=max_chars + SPECIAL_TOKENS + _PREFIX,
            characters=True,
            activation=_activation(config["teach"]),
        )
        sizes = Sizes(
            hidden=int(encoder["hidden"]),
            inner=int(encoder["feed_forward"]),
            vocabulary=int(encoder["vocabulary"]),
            positions=int(encoder["positions"]),
            types=int(encoder["token_types"]),
            labels=len(LABELS),
            characters=len(characters) + UNKNOWN + 1,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConversionError(f"{folder / CONFIG} or {ENCODER} lacks a value or has a wrong one: {error}") from None
    if sizes.positions < shape.max_length:
        raise ConversionError(
            f"{folder / CONFIG}: max_length is {max_chars}, but the encoder has only {sizes.positions} positions"
        )
    state, step = _read_weights(folder)
    weights = {weight_name(name): value for name, value in state.items() if not name.startswith(_AUXILIARY)}
    return Source(
        weights=check_weights(folder, weights, shape, sizes),
        shape=shape,
        labels=LABELS,
        tokenizer=_hide_special(_read_text(folder / PIECES), folder / PIECES),
        options=piece_options(max_chars, fold_traditional=bool(config["teach"].get("fold_traditional"))),
        characters=characters,
        consistent_types=True,
        training={
            "source": "hanner_models.train.teacher",
            "revision": f"seed {seed}" + (f", step {step}" if step else ""),
            "licences": config.pop("licences", ()),
            "config": config,
        },
    )


def _read_weights(folder: Path) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Return the weights of a finished run, else the averaged ones of its checkpoint and the checkpoint's step."""
    if (folder / WEIGHTS).is_file():
        return load_safetensors(folder / WEIGHTS), None
    if not (folder / CHECKPOINT).is_file():
        raise ConversionError(f"{folder} has no weights yet; continue the run with `hanner model teach`")
    state = load_checkpoint(folder / CHECKPOINT)
    return state["average"], int(state["step"])


def _activation(config: dict[str, Any]) -> Activation:
    name: Activation = config.get("activation", "gelu")
    if name not in get_args(Activation):
        raise ValueError(f"activation {name!r}")
    return name


def weight_name(name: str) -> str:
    """Return the name of a teacher's weight as in `hanner_models.source.architecture`."""
    return name.removeprefix("encoder." if name.startswith("encoder.") else "head.")


def _hide_special(tokenizer: str, path: Path) -> str:
    """Return the tokenizer with names of special pieces that no text contains: `<s>` in a text is three characters.

    The tokenizer replaces spaces before it looks up pieces, so it never finds a name with a space.
    """
    try:
        content = json.loads(tokenizer)
        vocabulary = content["model"]["vocab"]
        for number, (piece, score) in enumerate(vocabulary[:_SPECIAL]):
            vocabulary[number] = [f" {piece.strip()}", score]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{path} is not a unigram tokenizer: {error}") from None
    return json.dumps(content, ensure_ascii=False)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConversionError(
            f"cannot read {path}: {error.strerror or error}; copy it from the encoder's folder"
        ) from None
    except UnicodeDecodeError as error:
        raise ConversionError(f"{path} is not UTF-8: {error}") from None
