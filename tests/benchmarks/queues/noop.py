"""A model that takes no time and finds one entity in every text. Plain Python: stock workers run it too."""

ENTITY = {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.998}


def run(texts):
    """Return the entities of every text."""
    return [[ENTITY] for _ in texts]


def ready():
    """Do nothing: who measures waits for an answer."""
