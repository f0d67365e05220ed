"""Drop the pieces that no text has from the vocabulary of a BERT tagger, so that its package is smaller. No I/O.

BERT's Chinese vocabulary has every ideograph twice: as a word, and as `##` continuation of a word. BERT's tokenizer
makes every ideograph a word of its own, so the second row is never used; nor are rows such as `[unused7]`. The tokens
of every text, and so the answers, are the same without them.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from hanner_inference.tokenization.tokens import open_tokenizer
from hanner_models.source import Source
from hanner_models.source.architecture import WORD_TABLE

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SURROGATES = range(0xD800, 0xE000)


def drop_unreachable_pieces(source: Source) -> Source:
    """Return the tagger without the pieces that its tokenizer cannot produce.

    A tagger is returned unchanged if its tokenizer is not BERT's, or if it looks up bigrams by the ids of their tokens.
    """
    content = json.loads(source.tokenizer)
    if source.shape.bigrams or not _is_plain_bert(content):
        return source
    tokenizer = open_tokenizer(source.tokenizer)
    model, options = content["model"], source.options
    special = [tokenizer.token_to_id(name) for name in (*_SPECIAL, model["unk_token"])]
    special += [options.cls_id, options.sep_id]
    found = _of_characters(tokenizer) if options.split == "characters" else _of_words(tokenizer, model)
    kept = sorted({number for number in special if number is not None}.union(found))
    numbers = {old: new for new, old in enumerate(kept)}
    model["vocab"] = {piece: numbers[old] for piece, old in model["vocab"].items() if old in numbers}
    ids = {name: numbers.get(getattr(options, name)) for name in ("cls_id", "sep_id")}
    return replace(
        source,
        weights=source.weights | {WORD_TABLE: source.weights[WORD_TABLE][np.array(kept)]},
        tokenizer=json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        options=options.model_copy(update=ids),
    )


def _is_plain_bert(content: Mapping[str, Any]) -> bool:
    """Return whether a tokenizer.json finds words, and pieces of words, as BERT does, and adds no tokens."""
    types = tuple((content.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model"))
    return types == ("BertNormalizer", "BertPreTokenizer", "WordPiece") and not content.get("added_tokens")


def _of_characters(tokenizer: Tokenizer) -> Iterator[int]:
    """Yield the tokens of every character; some characters have several, such as a syllable of Hangul."""
    for point in range(sys.maxunicode + 1):
        if point not in _SURROGATES:
            yield from tokenizer.encode(chr(point), add_special_tokens=False).ids


def _of_words(tokenizer: Tokenizer, model: Mapping[str, Any]) -> Iterator[int]:
    """Yield the pieces that can be a part of one word.

    The tokenizer splits at certain characters wherever they are, so it splits a piece with one of them too.
    """
    prefix = model["continuing_subword_prefix"]
    for piece, number in model["vocab"].items():
        word = f"a{piece.removeprefix(prefix)}" if piece.startswith(prefix) else piece
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(word))
        if len(words) <= 1:
            yield number
