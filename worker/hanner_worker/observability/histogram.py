"""A histogram that takes many values at once: prometheus_client's own takes a lock and a search for each."""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class BatchHistogram(Collector):
    """A histogram without labels. One thread may observe while another reads.

    Args:
        name: of the metric, with its unit.
        told: its help.
        bounds: upper bounds of the buckets, rising; +Inf is added.
        registry: where it can be read.
    """

    def __init__(self, name: str, told: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._told = name, told
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, values: Sequence[float]) -> None:
        """Count values."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
            self._sum += sum(values)

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram as it stands."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._told)
        family.add_metric([], list(zip(names, accumulate(counts), strict=True)), total)
        yield family
