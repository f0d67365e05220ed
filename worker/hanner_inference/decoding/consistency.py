"""Give the mentions of one name in a text the same type, where the model is not sure. No I/O."""

from collections import defaultdict
from collections.abc import Sequence

from hanner.results import Entity
from hanner_inference.decoding.spans import SCORE_DIGITS

SURE = 0.9
"""Entities with at least this score keep their type: 华盛顿 can be a person and a place in one text."""


def agree_on_types(entities: Sequence[Entity]) -> list[Entity]:
    """Return the entities, in which the same name has the type that has most votes; each votes with its score.

    An entity whose type changes has its old score times the share of the votes for its new type. Entities with a high
    score vote, but keep their type. Of types with equal votes, the one that comes first in the text is chosen.

    Args:
        entities: of one text, in order.
    """
    votes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entity in entities:
        votes[entity.text][entity.type] += entity.score
    return [
        entity if entity.score >= SURE or len(votes[entity.text]) == 1 else _with_best_type(entity, votes[entity.text])
        for entity in entities
    ]


def _with_best_type(entity: Entity, votes: dict[str, float]) -> Entity:
    best = max(votes, key=lambda kind: votes[kind])
    if best == entity.type:
        return entity
    score = round(entity.score * votes[best] / (sum(votes.values()) or 1.0), SCORE_DIGITS)
    return Entity(text=entity.text, type=best, start=entity.start, end=entity.end, score=score)
