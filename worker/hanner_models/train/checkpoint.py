"""Save and load the state of a training run, so that an interrupted run can be resumed."""

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
