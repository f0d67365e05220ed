"""A small sample of results.json: one row per table and round numbers."""

MACHINE = {
    "processor": "Some CPU",
    "cores": 2,
    "instructions": ["avx512_vnni"],
    "memory_gb": 16.0,
    "system": "Linux 6.1",
    "python": "3.11.7",
    "server": "valkey-server",
    "packages": {"celery": "5.7.0"},
    "busy_before": 0.01,
}
MODELS = {"default": "some-model", "small": "small-model", "base": "random-768"}
TEXTS = {"source": "cut from the demo's article", "count": 4000, "mean": 48.4, "longest": 507}


def section(data, **facts):
    common = {"at": "2026-11-23 12:50 UTC", "took_s": 100, "scale": 1.0, "machine": MACHINE, "texts": TEXTS}
    return common | facts | {"data": data}


def turn(alone, one, many):
    return {
        "engine alone": [alone, alone * 50],
        "one text per task": [one, one * 50],
        "extract_many": [many, many * 50],
    }


def model(size):
    return {"size": size, "model": f"{MODELS[size]}@00000000"}


def throughput_row(size="default", processes=2, rounds=((1000, 800, 950), (500, 450, 490), (1000, 720, 940))):
    return {
        **model(size),
        "processes": processes,
        "window": 256,
        "chunk": 128,
        "rounds": [turn(*each) for each in rounds],
        "cpu_ms": {
            "engine alone": {"engine": 1.5},
            "one text per task": {"first process": 0.3, "its children": 1.6, "Redis": 0.1, "client": 0.2},
            "extract_many": {"first process": 0.1, "its children": 1.5, "Redis": 0.05, "client": 0.05},
        },
        "memory": {"idle": [50_000_000, 30_000_000], "peak": [60_000_000, 50_000_000]},
    }


def load_row(load, p99):
    batches = {"count": 100, "texts": 4.0, "took_ms": 6.0, "took_ms_of_a_text": 8.0}
    times = {"count": 1000, "unanswered": 0 if p99 else 3, "p50": 8.0, "p95": 20.0, "p99": p99}
    return {"load": load, "rate": 8.0 * load, "batches": batches} | times


def latency_row(size="default", loads=((50, 30.0), (80, 90.0))):
    once = {"count": 300, "unanswered": 0, "p50": 2.1, "p95": 2.4, "p99": 3.0}
    return {
        **model(size),
        "processes": 2,
        "idle": {"text": 15, "engine": once, "queue": once | {"p50": 5.0}, "added": 2.9},
        "capacity": 800.0,
        "full": {"count": 50, "texts": 30.0, "took_ms": 40.0, "took_ms_of_a_text": 42.0},
        "loads": [load_row(load, p99) for load, p99 in loads],
    }


def bulk_row(size="default", p99=90.0):
    times = {"count": 120, "unanswered": 0 if p99 else 3, "p50": 8.0, "p95": 20.0, "p99": p99}
    return model(size) | {"processes": 2, "rate": 10.0, "alone": 900.0, "beside": 850.0} | times


def cold_row(size="default", worker=1.4):
    return model(size) | {"rounds": 5, "engine alone": 0.8, "worker": worker}


def memory_data(after=280_000_000):
    parts = {"idle": [100_000_000, 100_000_000], "peak": [150_000_000, 200_000_000]}
    return model("base") | {"processes": 4, "after": [120_000_000, after - 120_000_000]} | parts


def system(memory, p99=None):
    once = {"count": 100, "unanswered": 0, "p50": 5.0, "p95": 6.0, "p99": 7.0}
    found = {"cpu_ms": 2.5, "cold": 1.5, "memory": [memory], "idle": once}
    return found | ({"at_rate": once | {"p99": p99}} if p99 else {})


def compare_row(size="base"):
    return {
        **model(size),
        "processes": 2,
        "window": 128,
        "rate": 40.0,
        "rounds": [
            {"engine alone": 100.0, "hanner": 90.0, "mosec": 60.0, "ModelScope + Flask": 1.2},
            {"engine alone": 100.0, "hanner": 80.0, "mosec": 40.0},
        ],
        "systems": {
            "hanner": system(300_000_000, p99=7.0),
            "mosec": system(600_000_000, p99=9.0),
            "ModelScope + Flask": system(2_000_000_000),
        },
        "not_run": [{"name": "litserve", "why": "its environment is not there: make bench-peers"}],
        "versions": {"mosec": "0.9.8", "modelscope": "1.40.2"},
    }


def results():
    return {
        "throughput": section(list(map(throughput_row, MODELS))),
        "latency": section(list(map(latency_row, MODELS))),
        "bulk": section(list(map(bulk_row, MODELS))),
        "cold": section(list(map(cold_row, MODELS))),
        "memory": section(memory_data()),
        "compare": section(list(map(compare_row, MODELS))),
    }


def queue_row(scenario, consumed, *, events=False, **facts):
    costs = {"enqueued": 1000.0, "client": 30.0, "parent": 100.0, "child": 50.0, "redis": 20.0}
    return {"scenario": scenario, "events": events, "consumed": consumed, "p50": 2.0, "p99": None} | costs | facts
