"""Who watches a worker: metrics where NERQ_METRICS_PORT is set. What is not asked for is not even imported."""

from typing import Any, Protocol

from nerq.errors import NerqError
from nerq_worker.batching.job import Held
from nerq_worker.batching.watch import Watch, Watches


class Start(Protocol):
    """Something that begins when the pool has been forked."""

    def start(self) -> None:
        """Begin."""
        ...


def observe(consumer: Any, held: Held) -> tuple[Watch, list[Start]]:
    """Return who is told of batches, and what is to be started when the pool runs.

    Args:
        consumer: Celery's consumer.
        held: the model and the settings.

    Raises:
        NerqError: something that is asked for cannot be.
    """
    watches: list[Watch] = []
    starts: list[Start] = []
    if held.settings.metrics_port:
        try:
            from nerq_worker.metrics.assemble import assemble  # noqa: PLC0415 - nobody else needs prometheus_client
        except ImportError as error:
            raise NerqError(
                f"NERQ_METRICS_PORT is set and {error.name} is missing: pip install 'nerq[worker]'"
            ) from None
        recorder, endpoint = assemble(consumer, held)
        watches.append(recorder)
        starts.append(endpoint)
    return (watches[0] if len(watches) == 1 else Watches(watches)), starts
