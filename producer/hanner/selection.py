"""Which entities of a result a caller wants: by type and score. Pure."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Self

from hanner.errors import InvalidSettings
from hanner.results import Document, Entity, EntityList


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects entities.

    Attributes:
        types: Their types; None for all.
        min_score: Their minimum score.
    """

    types: frozenset[str] | None = None
    min_score: float = 0.0

    @classmethod
    def make(cls, types: Collection[str] | None, min_score: float) -> Self:
        """Return a selection.

        Raises:
            InvalidSettings: the types are not a collection of strings, or the score is not between 0 and 1.
        """
        if isinstance(types, str) or (types is not None and not all(isinstance(name, str) for name in types)):
            raise InvalidSettings(f'types must be a list of types, such as ["PER", "LOC"], not {types!r}')
        is_number = isinstance(min_score, int | float) and not isinstance(min_score, bool) and not math.isnan(min_score)
        if not is_number or not 0 <= min_score <= 1:
            raise InvalidSettings(f"min_score must be a number from 0 to 1, not {min_score!r}")
        return cls(None if types is None else frozenset(types), float(min_score))

    def apply(self, entities: Iterable[Entity]) -> list[Entity]:
        """Return the selected entities, in order."""
        return [
            entity
            for entity in entities
            if entity.score >= self.min_score and (self.types is None or entity.type in self.types)
        ]

    def apply_to_list(self, entities: EntityList, text: str) -> EntityList:
        """Return the selected entities of a text, with the text."""
        return EntityList(self.apply(entities), entities.model, text)

    def apply_to_document(self, document: Document) -> Document:
        """Return a document with the selected entities."""
        if self == ALL:
            return document
        return document.model_copy(update={"entities": tuple(self.apply(document.entities))})


ALL = Selection()
"""Selects all entities."""
