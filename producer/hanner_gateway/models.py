"""The models behind the gateway, as their workers report them in Redis, and the check of requested entity types."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hanner.aio.client import AsyncClient
from hanner.queue.stats import Backlog
from hanner_gateway.problems import ProblemError

VALID_FOR = 10.0
"""Seconds for which the report of the workers is cached."""
MAX_SHOWN = 200
"""Characters of unknown types in an error."""
RECHECK_AFTER = 1.0
"""Seconds after which an unknown type is looked up again: a worker with another dictionary may have started."""


@dataclass(frozen=True)
class ModelInfo:
    """What the workers of a queue report.

    Attributes:
        names: NAME@DIGEST8 of their models; the one with most workers is the first.
        types: The entity types of all models and dictionaries, sorted; None if they are not known.
    """

    names: tuple[str, ...]
    types: tuple[str, ...] | None


def summarise(backlog: Backlog) -> ModelInfo:
    """Return what the workers of a queue report. Types are unknown without workers, or if one does not report them."""
    workers = backlog.workers
    names = Counter(worker.model for worker in workers if worker.model)
    known = bool(workers) and all(worker.types for worker in workers)
    types = sorted({kind for worker in workers for kind in worker.types}) if known else None
    return ModelInfo(tuple(name for name, _ in names.most_common()), None if types is None else tuple(types))


class Models:
    """Reads what workers report about their models, and caches it.

    Args:
        client: Reads the state of the queues.
        clock: Returns monotonic seconds.
    """

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._cache: dict[str | None, tuple[float, ModelInfo]] = {}

    async def read(self, model: str | None = None, max_age: float = VALID_FOR) -> ModelInfo:
        """Return what the workers of a model report.

        Args:
            model: The model's name; None for that of the gateway's queue.
            max_age: Seconds for which an earlier report may be used.

        Raises:
            HannerError: there is no such model, or Redis did not answer.
        """
        now = self._clock()
        read_at, info = self._cache.get(model, (now - max_age, None))
        if info is None or now - read_at >= max_age:
            info = summarise(await self._client.backlog(model))
            self._cache[model] = (now, info)
        return info

    async def check_types(self, types: Sequence[str] | None, model: str | None) -> None:
        """Raise an error if a requested type is none that the model or a dictionary has.

        Raises:
            ProblemError: a type is unknown; the message has those that there are.
            HannerError: there is no such model, or Redis did not answer.
        """
        unknown: list[str] = []
        known: tuple[str, ...] | None = None
        for max_age in (VALID_FOR, RECHECK_AFTER):
            known = (await self.read(model, max_age)).types if types else None
            unknown = [kind for kind in dict.fromkeys(types or ()) if known is not None and kind not in known]
            if not unknown:
                return
        shown = ", ".join(map(repr, unknown))[:MAX_SHOWN]
        raise ProblemError(422, f"unknown types: {shown}; the model has {', '.join(known or ())}", code="unknown_type")
