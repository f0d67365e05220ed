"""Save and load the state of a training run, so that an interrupted run can be resumed."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from hanner.errors import HannerError


class CheckpointError(HannerError):
    """A checkpoint does not fit the run that is to be resumed. Use another folder, or the configuration of the run."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state atomically: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """Return a state written by `save`, or None if the file is missing. Loads only tensors and plain values.

    Raises:
        CheckpointError: if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is not a checkpoint ({error}); delete it to start again") from None
    return state


def check_record(path: Path, record: dict[str, Any]) -> None:
    """Write what a run depends on, or check that it is the same as in the unfinished run in the folder of `path`.

    Raises:
        CheckpointError: the run was started with something else.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    elif path.read_text("utf-8") != text:
        raise CheckpointError(
            f"{path.parent} has an unfinished run with another base, other data or other options; repeat its command "
            "to resume it, or remove the folder to start again"
        )
