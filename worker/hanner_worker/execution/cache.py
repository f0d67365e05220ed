"""A cache in Redis of the entities of texts; off unless HANNER_CACHE_TTL is set.

An entry's key is a hash of the model, the engine and the normalised text; its value is types, offsets and scores. So
neither contains the text, and a text that differs only in case or width of its letters is found: the entities' texts
are cut from the text as sent. When Redis fails, the text is inferred.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from redis.exceptions import RedisError

from hanner.results import Entity
from hanner_worker.context import WorkerContext

logger = logging.getLogger(__name__)

PREFIX = "hanner:cache:"
FORMAT = "1"
"""Increase it when the same model finds other entities in the same text than before."""
_ROWS = TypeAdapter(
    list[tuple[str, Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)], Annotated[float, Field(ge=0, le=1)]]]
)
"""Type, start, end and score of each entity."""


class EntityCache:
    """Entities by text. Made for one batch: `get`, then `put`, then `flush` once all results are stored.

    Args:
        client: returns a Redis client.
        ttl: seconds after which an entry expires.
        model: sha256 of the model package.
        engine: name of the engine; engines round differently.
        normalise: returns a text as the model receives it; texts with the same one have the same entities.
        dictionary: digest of the dictionary that overrides the model, if there is one.
    """

    def __init__(  # noqa: PLR0913 - what entities depend on
        self,
        client: Callable[[], Any],
        ttl: int,
        *,
        model: str,
        engine: str,
        normalise: Callable[[str], str],
        dictionary: str = "",
    ) -> None:
        self._client = client
        self._ttl = ttl
        self._namespace = f"{FORMAT}\0{model}\0{engine}\0{dictionary}"
        self._normalise = normalise
        self._pending: dict[str, bytes] = {}

    def key(self, text: str) -> str:
        """Return the key of a text's entry."""
        return PREFIX + hashlib.sha256(f"{self._namespace}\0{self._normalise(text)}".encode()).hexdigest()

    def get(self, texts: Sequence[str]) -> dict[str, list[Entity]]:
        """Return the entities of those texts that are cached, by text, in one round trip."""
        if not texts:
            return {}
        try:
            values = self._client().mget([self.key(text) for text in texts])
        except (RedisError, OSError) as error:
            logger.warning("the cache could not be read (%s); the texts are inferred", type(error).__name__)
            return {}
        cached = zip(texts, (_decode(text, value) for text, value in zip(texts, values, strict=True)), strict=True)
        return {text: entities for text, entities in cached if entities is not None}

    def put(self, found: Mapping[str, list[Entity]]) -> None:
        """Add the entities of texts; `flush` writes them."""
        for text, entities in found.items():
            self._pending[self.key(text)] = _encode(entities)

    def flush(self) -> None:
        """Write what was added, in one round trip; call it after the results are stored, so that no caller waits."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            with self._client().pipeline(transaction=False) as pipe:
                for key, value in pending.items():
                    pipe.set(key, value, ex=self._ttl)
                pipe.execute()
        except (RedisError, OSError) as error:
            logger.warning("the cache could not be written: %s", type(error).__name__)


def make_cache(context: WorkerContext) -> EntityCache | None:
    """Return a cache for one batch, or None if it is off. Also switches to the newest compiled dictionary."""
    digest = ""
    if context.dictionary is not None:
        context.dictionary.refresh()
        digest = context.dictionary.digest
    settings = context.settings
    if not settings.cache_ttl:
        return None
    return EntityCache(
        lambda: context.app.backend.client,
        settings.cache_ttl,
        model=context.digest,
        engine=settings.engine,
        normalise=context.normalise,
        dictionary=digest,
    )


def _encode(entities: Sequence[Entity]) -> bytes:
    rows = [(entity.type, entity.start, entity.end, entity.score) for entity in entities]
    return json.dumps(rows, separators=(",", ":")).encode()


def _decode(text: str, value: bytes | None) -> list[Entity] | None:
    """Return the entities with their texts cut from `text`; None if there is no entry, or one that cannot be read."""
    if value is None:
        return None
    try:
        rows = _ROWS.validate_json(value)
    except ValidationError:
        return None
    return [
        Entity(text=text[start:end], type=kind, start=start, end=end, score=score) for kind, start, end, score in rows
    ]
