"""The engine in a process of its own, without any queue: `python -m benchmarks.end_to_end.engine_alone MODEL`.

In: a JSON list of texts, then per line an order. Out: a JSON object per line; the first says that it is ready.

    {"seconds": 5, "slab": 128}  works on the texts, so many at a time: {"texts", "characters", "seconds", "cpu"}
    {"text": "…"}                works on one: {"ms"}
"""

import json
import os
import sys
import time
from itertools import cycle, islice

from hanner_inference import load


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ner = load(sys.argv[1] or None)
    source = cycle(json.loads(sys.stdin.readline()))
    print(json.dumps({"model": ner.model}), file=out, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "text" in order:
            began = time.perf_counter()
            ner.extract([order["text"]])
            answer = {"ms": (time.perf_counter() - began) * 1000}
        else:
            answer = work(ner, source, **order)
        print(json.dumps(answer), file=out, flush=True)


def work(ner, source, seconds, slab):
    texts = characters = 0
    began, cpu = time.perf_counter(), time.process_time()
    while (took := time.perf_counter() - began) < seconds:
        batch = list(islice(source, slab))
        ner.extract(batch)
        texts += len(batch)
        characters += sum(map(len, batch))
    return {"texts": texts, "characters": characters, "seconds": took, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    main()
