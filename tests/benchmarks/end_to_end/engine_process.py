"""Run the engine in a process of its own, without a queue: `python -m benchmarks.end_to_end.engine_process MODEL`.

Standard input has a JSON list of texts, then a JSON command per line. Standard output has a JSON object per line; the
first one is sent when the process is ready.

    {"seconds": 5, "batch": 128}  processes the texts, 128 at a time: {"texts", "characters", "seconds", "cpu"}
    {"text": "…"}                 processes one text: {"ms"}
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
        command = json.loads(line)
        if "text" in command:
            started = time.perf_counter()
            ner.extract([command["text"]])
            result = {"ms": (time.perf_counter() - started) * 1000}
        else:
            result = process(ner, source, **command)
        print(json.dumps(result), file=out, flush=True)


def process(ner, source, seconds, batch):
    texts = characters = 0
    started, cpu = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - started) < seconds:
        part = list(islice(source, batch))
        ner.extract(part)
        texts += len(part)
        characters += sum(map(len, part))
    return {"texts": texts, "characters": characters, "seconds": elapsed, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    main()
