"""The loop that both phases share: device, precision, schedule, optimiser, checkpoints, progress, log."""

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


def device() -> torch.device:
    """Use a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rate(step: int, warmup: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then a cosine down to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def optimiser(groups: Iterable[tuple[nn.Module | nn.Parameter, float]]) -> torch.optim.AdamW:
    """Return AdamW with a group per part and its learning rate; vectors and norms are not decayed."""
    parameters: list[dict[str, Any]] = []
    for part, learning_rate in groups:
        members = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
        for decay, chosen in ((0.01, [p for p in members if p.ndim > 1]), (0.0, [p for p in members if p.ndim <= 1])):
            parameters.append({"params": chosen, "lr": learning_rate, "peak": learning_rate, "weight_decay": decay})
    return torch.optim.AdamW(parameters, betas=(0.9, 0.98), eps=1e-6)


class Log:
    """Appends one JSON object a line to a file, so that a run can be read and plotted later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, **fields: Any) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


class Average:
    """Exponential moving average of a module's weights, started after the warm-up."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the module's weights; early steps move it faster."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.weights[name].lerp_(value, 1 - keep)


class Phase:
    """Runs steps of one phase from its last checkpoint to its end.

    Args:
        name: of the phase; its checkpoint is `<folder>/<name>.pt`.
        step: given a step number, returns that step's loss. Whatever it draws at random must follow from the number,
            so that a resumed run repeats an undisturbed one.
    """

    def __init__(self, name: str, folder: Path, module: nn.Module, groups: torch.optim.AdamW, log: Log) -> None:
        self.name, self.module, self.groups, self.log = name, module, groups, log
        self.path = folder / f"{name}.pt"
        self.average: Average | None = None
        self.start = 0

    def restore(self) -> None:
        """Take up the last checkpoint, if there is one."""
        state = checkpoint.load(self.path)
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        peaks = [group["peak"] for group in self.groups.param_groups]
        self.groups.load_state_dict(state["optimiser"])
        for group, peak in zip(self.groups.param_groups, peaks, strict=True):
            group["peak"] = peak  # the configuration's, which may have changed, not the checkpoint's
        if self.average is not None:
            self.average.weights = {name: value.to(device()) for name, value in state["average"].items()}
        self.start = state["step"]

    def save(self, step: int) -> None:
        """Write a checkpoint after `step` steps."""
        average = {} if self.average is None else self.average.weights
        state = {"step": step, "module": self.module.state_dict(), "optimiser": self.groups.state_dict()}
        checkpoint.save(self.path, state | {"average": average})

    def run(
        self,
        step: Callable[[int], Tensor],
        *,
        steps: int,
        warmup: int,
        save_every: int,
        every: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Run until `steps`; call `every` after each step."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[loss]}")) as progress:
            bar = progress.add_task(self.name, total=steps, completed=self.start, loss="")
            mean, began = 0.0, time.monotonic()
            for number in range(self.start, steps):
                value = self._update(step, number, warmup, steps)
                mean = value if mean == 0 else 0.98 * mean + 0.02 * value
                progress.update(bar, completed=number + 1, loss=f"loss {mean:.4f}")
                if (number + 1) % 50 == 0:
                    seconds = (time.monotonic() - began) / 50
                    self.log.write(
                        phase=self.name, step=number + 1, loss=round(mean, 4), step_seconds=round(seconds, 3)
                    )
                    began = time.monotonic()
                if (number + 1) % save_every == 0 or number + 1 == steps:
                    self.save(number + 1)
                every(number + 1)

    def _update(self, step: Callable[[int], Tensor], number: int, warmup: int, steps: int) -> float:
        self.module.train()
        torch.manual_seed(number)  # dropout, too, follows from the step's number
        for group in self.groups.param_groups:
            group["lr"] = group["peak"] * rate(number, warmup, steps)
        with torch.autocast(device().type, dtype=torch.bfloat16):
            loss = step(number)
        self.groups.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.groups.step()
        if self.average is not None:
            self.average.update(self.module, number)
        return float(loss.detach())
