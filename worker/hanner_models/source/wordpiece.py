"""Build the tokenizer of a BERT tagger from its vocab.txt, or from its tokenizer.json."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hanner_models.source.base import ConversionError, read_json

_CLASSES = ("Bert", "BertTokenizer", "BertTokenizerFast", "BertJapaneseTokenizer", "PreTrainedTokenizerFast")
_DROPPED = ("truncation", "padding", "post_processor", "decoder")
"""Parts of a tokenizer.json that the worker implements itself or never needs."""


def read_tokenizer(folder: Path, options: dict[str, Any]) -> Tokenizer:
    """Return the tokenizer in `folder`: vocab.txt with the options of tokenizer_config.json, else tokenizer.json.

    Special tokens are not recognised in the text: [SEP] in a text is five characters.

    Args:
        folder: of the tagger.
        options: content of tokenizer_config.json; may be empty.

    Raises:
        ConversionError: there is no tokenizer, or it is not a BERT tokenizer.
    """
    kind = options.get("tokenizer_class", "BertTokenizer")
    if kind not in _CLASSES or kind == "BertJapaneseTokenizer" or options.get("do_basic_tokenize") is False:
        raise ConversionError(
            f"{folder} has a tokenizer of type {kind}; only BERT's WordPiece tokenizers are supported"
        )
    if (folder / "vocab.txt").is_file():
        return _from_vocabulary(folder / "vocab.txt", options)
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder / "tokenizer.json")
    raise ConversionError(f"{folder} has no vocabulary; vocab.txt or tokenizer.json is needed")


def special_token(options: dict[str, Any], name: str, default: str) -> str:
    """Return the text of a special token in tokenizer_config.json, which may be a string or an object."""
    value = options.get(name, default)
    return str(value.get("content", default)) if isinstance(value, dict) else str(value or default)


def _from_vocabulary(path: Path, options: dict[str, Any]) -> Tokenizer:
    try:
        with path.open(encoding="utf-8") as lines:  # split at \n only: U+2028 can be a token
            tokens = [line.rstrip("\n") for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"cannot read {path}: {error}") from None
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens):
        duplicate = next(token for number, token in enumerate(tokens) if vocabulary[token] != number)
        raise ConversionError(f"{path} has the token {duplicate!r} twice; every line must be unique")
    unknown = special_token(options, "unk_token", "[UNK]")
    if unknown not in vocabulary:
        raise ConversionError(f"{path} lacks {unknown}, the token for unknown words")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        strip_accents=options.get("strip_accents"),
        lowercase=bool(options.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _from_json(path: Path) -> Tokenizer:
    content = read_json(path)
    model = content.get("model")
    model = model if isinstance(model, dict) else {}
    if model.get("type") != "WordPiece":
        raise ConversionError(f"{path} is a tokenizer of type {model.get('type')}; only WordPiece is supported")
    vocabulary, added = model.get("vocab", {}), content.get("added_tokens") or []
    # Special tokens are never recognised in a text, so the vocabulary may lack some (transformers adds them).
    plain = [token.get("content") for token in added if not token.get("special")]
    if unknown := [token for token in plain if token not in vocabulary]:
        raise ConversionError(f"{path} adds the token {unknown[0]!r} to its vocabulary, which is not supported")
    try:
        return Tokenizer.from_str(json.dumps(content | {"added_tokens": []} | dict.fromkeys(_DROPPED)))
    except Exception as error:  # noqa: BLE001  tokenizers raises plain Exception
        raise ConversionError(f"{path} is not a valid tokenizer.json: {error}") from None
