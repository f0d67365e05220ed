"""What queue and batching add to the engine's own time for one short text on an idle system.

    python tests/benchmarks/latency.py [--rounds 300]

Each round runs the text through the model in this process and then through the queue (client, Redis, a worker of one
process), so that both see the same machine. Prints medians and 95th percentiles in milliseconds.
"""

import argparse
import statistics
import time

from nerq import Client
from nerq.cli.stack import running
from nerq_worker import load

TEXT = "马云在杭州阿里巴巴总部发表演讲"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    recogniser = load()
    with running(None, None, None, concurrency=1) as stack, Client(settings=stack.settings) as ner:
        for _ in range(20):  # caches, connections, first allocations
            recogniser.extract([TEXT])
            ner.extract(TEXT)
        engine, queue = [], []
        for _ in range(rounds):
            engine.append(timed(lambda: recogniser.extract([TEXT])))
            queue.append(timed(lambda: ner.extract(TEXT)))
    print(f"{recogniser.package.id}, {rounds} rounds of one text of {len(TEXT)} characters")
    print("                        median       p95")
    for name, times in (("engine alone", engine), ("through the queue", queue)):
        print(f"{name:<20} {statistics.median(times):>7.2f} ms {percentile(times, 95):>6.2f} ms")
    print(f"added by the queue   {statistics.median(queue) - statistics.median(engine):>7.2f} ms")


def timed(call) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


if __name__ == "__main__":
    main()
