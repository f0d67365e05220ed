"""The loop of all training phases: device, precision, schedule, optimiser, checkpoints, log. Imports torch."""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from hanner_models.train import checkpoint


def default_device() -> torch.device:
    """Return the GPU if one is available, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision() -> torch.autocast:
    """Return a context in which matrix products are in bfloat16 where that is faster.

    That is on a GPU, and on processors that have instructions for it: with AMX, or AVX512_BF16 as AMD since Zen 4. On
    others a training step in bfloat16 takes up to 1.8 times as long as in float32; on a Zen 5 it takes a third.
    """
    device = default_device().type
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions do not have it
    has_instructions = not capabilities or any(map(capabilities.get, ("amx_bf16", "avx512_bf16")))
    return torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda" or has_instructions)


def learning_rate_factor(step: int, warmup: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine decay to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def make_optimiser(groups: Iterable[tuple[nn.Module | nn.Parameter, float]]) -> torch.optim.AdamW:
    """Return AdamW with a learning rate per part; biases and norms have no weight decay."""
    parameters: list[dict[str, Any]] = []
    for part, learning_rate in groups:
        members = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
        for decay, chosen in ((0.01, [p for p in members if p.ndim > 1]), (0.0, [p for p in members if p.ndim <= 1])):
            parameters.append({"params": chosen, "lr": learning_rate, "peak": learning_rate, "weight_decay": decay})
    return torch.optim.AdamW(parameters, betas=(0.9, 0.98), eps=1e-6, fused=True)


class TrainingLog:
    """Appends JSON objects to a file, one per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, **fields: Any) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


class WeightAverage:
    """Exponential moving average of a module's weights."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        """Update the average; early steps have a larger share."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.weights[name].lerp_(value, 1 - keep)


class Phase:
    """Runs one training phase from its last checkpoint to its end.

    Args:
        name: of the phase; its checkpoint is `<folder>/<name>.pt`.
        folder: of the run.
        module: the module to train.
        optimiser: of its weights.
        log: of the run.

    Attributes:
        average: moving average of the weights, updated after each step if set.
        start: number of steps that are done already.
    """

    def __init__(
        self, name: str, folder: Path, module: nn.Module, optimiser: torch.optim.AdamW, log: TrainingLog
    ) -> None:
        self.name, self.module, self.optimiser, self.log = name, module, optimiser, log
        self.path = folder / f"{name}.pt"
        self.average: WeightAverage | None = None
        self.start = 0

    def restore(self) -> None:
        """Load the last checkpoint, if one exists.

        Raises:
            CheckpointError: if the checkpoint is damaged, or of another network.
        """
        state = checkpoint.load(self.path)
        if state is None:
            return
        peaks = [group["peak"] for group in self.optimiser.param_groups]
        try:
            self.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError):
            raise checkpoint.CheckpointError(
                f"{self.path} is a checkpoint of a network with other layers or sizes; train in another folder, or "
                "with the configuration that this run was started with"
            ) from None
        for group, peak in zip(self.optimiser.param_groups, peaks, strict=True):
            group["peak"] = peak  # from the configuration, which may have changed since the checkpoint
        if self.average is not None:
            self.average.weights = {name: value.to(default_device()) for name, value in state["average"].items()}
        self.start = state["step"]

    def save(self, step: int) -> None:
        """Write a checkpoint after `step` steps."""
        average = {} if self.average is None else self.average.weights
        state = {"step": step, "module": self.module.state_dict(), "optimiser": self.optimiser.state_dict()}
        checkpoint.save(self.path, state | {"average": average})

    def run(
        self,
        loss: Callable[[int], Tensor],
        *,
        steps: int,
        warmup: int,
        save_every: int,
        after_step: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Train until `steps` steps are done.

        Args:
            loss: returns the loss of a step, given its number. Random choices must depend only on the number, so that a
                resumed run gives the same weights as an uninterrupted one.
            steps: number of steps of the whole phase.
            warmup: steps until the learning rate reaches its peak.
            save_every: steps between checkpoints.
            after_step: called with the number of steps done.
        """
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[loss]}")) as progress:
            bar = progress.add_task(self.name, total=steps, completed=self.start, loss="")
            mean, started = 0.0, time.monotonic()
            for number in range(self.start, steps):
                value = self._update(loss, number, warmup, steps)
                mean = value if mean == 0 else 0.98 * mean + 0.02 * value
                progress.update(bar, completed=number + 1, loss=f"loss {mean:.4f}")
                if (number + 1) % 50 == 0:
                    seconds = (time.monotonic() - started) / 50
                    self.log.write(
                        phase=self.name, step=number + 1, loss=round(mean, 4), step_seconds=round(seconds, 3)
                    )
                    started = time.monotonic()
                if (number + 1) % save_every == 0 or number + 1 == steps:
                    self.save(number + 1)
                after_step(number + 1)

    def _update(self, loss: Callable[[int], Tensor], number: int, warmup: int, steps: int) -> float:
        self.module.train()
        torch.manual_seed(number)  # so that dropout also depends only on the step's number
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate_factor(number, warmup, steps)
        with mixed_precision():
            value = loss(number)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.module, number)
        return float(value.detach())
