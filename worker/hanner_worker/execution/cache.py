"""Entities of texts that were seen before, kept in Redis for a while. Off unless HANNER_CACHE_TTL says how long.

An entry's key is a hash of the model, the engine and the normalised text; its value is types, offsets and scores. So
neither says what the text was, and a text that differs only in case or width of its letters is found again: entities'
own text is cut from the text as sent. Redis failing here costs the model's time and nothing else.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from redis.exceptions import RedisError

from hanner.contract import Entity
from hanner_inference.tokenization.normalise import normalise

logger = logging.getLogger(__name__)

PREFIX = "hanner:cache:"
FORMAT = "1"
"""To be raised whenever the same model comes to find other entities in the same text."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of cache entries.

    Attributes:
        model: sha256 of the model package.
        engine: name of the engine; others round differently.
        lowercase: the model makes no difference between cases.
        half_width: the model makes no difference between widths.
        dictionary: digest of the dictionary that overrides the model, if there is one.
    """

    model: str
    engine: str
    lowercase: bool
    half_width: bool
    dictionary: str = ""

    def of(self, text: str) -> str:
        """Return the key of a text."""
        text = normalise(text, half_width=self.half_width, lowercase=self.lowercase)
        found_by = f"{FORMAT}\0{self.model}\0{self.engine}\0{self.dictionary}"
        return PREFIX + hashlib.sha256(f"{found_by}\0{text}".encode()).hexdigest()


class Cache:
    """Entities by text. One is made per batch: `recall`, then `learn`, then `keep` once all results are stored.

    Args:
        client: returns a Redis client.
        keys: names the entries.
        ttl: seconds that an entry is kept.
    """

    def __init__(self, client: Callable[[], Any], keys: Keys, ttl: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl = ttl
        self._learnt: dict[str, bytes] = {}

    def recall(self, texts: Sequence[str]) -> dict[str, list[Entity]]:
        """Return the entities of those texts that are known, by text; one round trip for all."""
        if not texts:
            return {}
        try:
            values = self._client().mget([self._keys.of(text) for text in texts])
        except (RedisError, OSError) as error:
            logger.warning("the cache could not be read (%s); the texts go to the model", type(error).__name__)
            return {}
        known = zip(texts, (_read(text, value) for text, value in zip(texts, values, strict=True)), strict=True)
        return {text: entities for text, entities in known if entities is not None}

    def learn(self, found: Mapping[str, list[Entity]]) -> None:
        """Remember what the model found, by text, to be kept later."""
        for text, entities in found.items():
            self._learnt[self._keys.of(text)] = _write(entities)

    def keep(self) -> None:
        """Write what was learnt, in one round trip. After the results, so that nobody waits for it."""
        learnt, self._learnt = self._learnt, {}
        if not learnt:
            return
        try:
            with self._client().pipeline(transaction=False) as pipe:
                for key, value in learnt.items():
                    pipe.set(key, value, ex=self._ttl)
                pipe.execute()
        except (RedisError, OSError) as error:
            logger.warning("the cache could not be written: %s", type(error).__name__)


def _write(entities: Sequence[Entity]) -> bytes:
    rows = [(entity.type, entity.start, entity.end, entity.score) for entity in entities]
    return json.dumps(rows, separators=(",", ":")).encode()


def _read(text: str, value: bytes | None) -> list[Entity] | None:
    """Return the entities, their text cut from `text`; None for no entry, or one that is none of ours."""
    if value is None:
        return None
    try:
        return [
            Entity(text=text[start:end], type=kind, start=start, end=end, score=score)
            for kind, start, end, score in json.loads(value)
        ]
    except (ValueError, TypeError, ValidationError):
        return None
