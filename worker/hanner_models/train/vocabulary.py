"""Build the tokenizer: one token per Chinese character, word pieces for Latin letters and digits. No torch."""

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORD = re.compile(r"[a-z0-9]+")


def build_tokenizer(texts: Iterable[str], *, known: Iterable[str], min_count: int = 3, pieces: int = 1000) -> Tokenizer:
    """Return a BERT tokenizer for normalised texts.

    Args:
        texts: normalised as at inference, in lower case.
        known: characters that are included even if they are rare, such as those with pretrained vectors.
        min_count: occurrences from which a character is included.
        pieces: number of word pieces for Latin letters and digits.
    """
    characters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for text in texts:
        characters.update(text)
        words.update(_WORD.findall(text))
    single = [c for c, n in characters.most_common() if n >= min_count]
    alphabet = [chr(c) for c in (*range(ord("a"), ord("z") + 1), *range(ord("0"), ord("9") + 1))]
    tokens = dict.fromkeys(SPECIAL)
    tokens |= dict.fromkeys(c for c in (*single, *known, *alphabet) if _is_token(c))
    tokens |= dict.fromkeys("##" + c for c in alphabet)
    tokens |= dict.fromkeys(_learn_pieces(words, pieces))
    return bert_tokenizer({token: index for index, token in enumerate(tokens)})


def bert_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """Return BERT's tokenizer with a vocabulary. It splits at spaces, punctuation and Chinese characters.

    It does not change case: texts are lower-cased before, see hanner_inference.tokenization.
    """
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of the special tokens by name.

    Raises:
        ValueError: the tokenizer lacks one.
    """
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    if missing := [token for token, index in ids.items() if index is None]:
        raise ValueError(f"the tokenizer has no {', '.join(missing)}")
    return {token: int(index) for token, index in ids.items() if index is not None}


def _is_token(character: str) -> bool:
    """Return whether the tokenizer can produce this character as a token."""
    return len(character) == 1 and character.isprintable() and not character.isspace()


def _learn_pieces(words: Counter[str], size: int) -> list[str]:
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=20, show_progress=False)
    # Counts are limited to keep the trainer's input small; this hardly changes the ranking.
    learner.train_from_iterator((word for word, n in sorted(words.items()) for _ in range(min(n, 500))), trainer)
    return [piece for piece, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]
