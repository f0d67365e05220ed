"""A model that takes no time and returns one entity for every text. Plain Python, so stock workers can run it."""

ENTITY = {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.998}


def run(texts):
    """Return the entities of each text."""
    return [[ENTITY] for _ in texts]


def ready():
    """Do nothing: the benchmark waits for the first result."""
