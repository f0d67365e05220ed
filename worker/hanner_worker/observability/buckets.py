"""Upper bounds of the histograms' buckets, over the ranges that were measured; see docs/how-to/observability.md.

A lone short text waits 3 ms and runs 2 ms with the bundled model; 64 at once wait 0.2 s; a full batch of a base-size
model runs 1 to 2 s; a backlog lasts minutes.
"""

from typing import Final

WAITS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds."""
RUNS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""
STAGES: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds."""
TEXTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS: Final = (32, 64, 128, 256, 512, 1024, 1536, 2048, 4096, 8192, 32768, 131072)
"""The default budget is 2048; one long text may exceed any."""
PADDING: Final = (0.0, 0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)
"""The default limit is 0.1."""
