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
        self._families = families = list(text_string_to_metric_families(text))
        found = [(s.name, tuple(sorted(s.labels.items())), s.value) for family in families for s in family.samples]
        twice = [key for key, count in Counter((name, labels) for name, labels, _ in found).items() if count > 1]
        assert not twice, twice
        self.samples = {(name, labels): value for name, labels, value in found}

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]

    @property
    def names(self):
        return {name for name, _ in self.samples}

    def table(self, prefixes):
        """Return rows of Markdown, one for each metric of ours; histograms without the suffixes of their series."""
        rows = []
        for family in sorted(self._families, key=lambda family: family.name):
            if family.name.startswith(prefixes) and not family.name.endswith("_created"):
                labels = sorted({name for sample in family.samples for name in sample.labels} - {"le"})
                name = f"{family.name}_total" if family.type == "counter" else family.name
                rows.append(f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |")
        return "\n".join(rows)


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
