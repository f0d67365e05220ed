"""What a /metrics page says, read as Prometheus does."""

import time
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One reading.

    Attributes:
        text: As it was served.
        samples: From (name, labels as sorted pairs) to value.
    """

    def __init__(self, text):
        self.text = text
        families = text_string_to_metric_families(text)
        found = [(s.name, tuple(sorted(s.labels.items())), s.value) for family in families for s in family.samples]
        twice = [key for key, count in Counter((name, labels) for name, labels, _ in found).items() if count > 1]
        assert not twice, twice
        self.samples = {(name, labels): value for name, labels, value in found}

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]

    @property
    def names(self):
        return {name for name, _ in self.samples}


def scrape(address):
    """Read http://ADDRESS/metrics."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as response:
        return Scrape(response.read().decode())


def scrape_until(address, told, timeout=20):
    """Read until `told` is true of what is read, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        found = scrape(address)
        if told(found):
            return found
        assert time.monotonic() < deadline, found.text
