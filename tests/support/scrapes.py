"""Read a /metrics page as Prometheus does."""

import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from support.waiting import wait_until


class Scrape:
    """One scrape of a /metrics page.

    Attributes:
        text: The page as it was served.
        samples: Maps (name, labels as sorted pairs) to the value.
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
        """Return one Markdown table row per metric whose name starts with a prefix; histograms without suffixes."""
        rows = []
        for family in sorted(self._families, key=lambda family: family.name):
            if family.name.startswith(prefixes) and not family.name.endswith("_created"):
                labels = sorted({name for sample in family.samples for name in sample.labels} - {"le"})
                name = f"{family.name}_total" if family.type == "counter" else family.name
                rows.append(
                    f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |".replace(
                        "|  |", "| |"
                    )
                )
        return "\n".join(rows)


def scrape(address):
    """Scrape http://ADDRESS/metrics."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as response:
        return Scrape(response.read().decode())


def scrape_until(address, condition):
    """Scrape until a condition holds for the scrape, and return the scrape."""
    found = None

    def holds():
        nonlocal found
        found = scrape(address)
        return condition(found)

    wait_until(holds, why=lambda: found.text if found else "")
    return found
