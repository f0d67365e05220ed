"""From a text to token ids and where each token stands in it. Wraps `tokenizers`; no I/O."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nerq_worker.text.normalise import normalise


class TokenizerOptions(Protocol):
    """What a tokenizer needs to know of the model; the manifest says it."""

    @property
    def half_width(self) -> bool: ...  # noqa: D102
    @property
    def lowercase(self) -> bool: ...  # noqa: D102
    @property
    def cls_id(self) -> int | None: ...  # noqa: D102
    @property
    def sep_id(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, without special ones.

    Attributes:
        ids: int64 [n], ids in the vocabulary.
        starts: int64 [n], first code point of each token; never falls.
        ends: int64 [n], one past its last code point; never falls, and always above its start.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """Normalises texts and cuts them into tokens.

    Texts are encoded one by one: `encode_batch` starts threads, which do not survive the fork of the pool.

    Attributes:
        cls_id: id of the token before every window.
        sep_id: id of the token after it.
    """

    def __init__(self, tokenizer_json: str, options: TokenizerOptions) -> None:
        """Read a tokenizer.json.

        Raises:
            ValueError: it is no tokenizer, or it has no [CLS] or [SEP] and the options do not name their ids.
        """
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(f"not a tokenizer of the tokenizers library: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._options = options
        self.cls_id = self._special_id("[CLS]", options.cls_id)
        self.sep_id = self._special_id("[SEP]", options.sep_id)

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`; a blank text has none."""
        prepared = normalise(text, half_width=self._options.half_width, lowercase=self._options.lowercase)
        encoding = self._tokenizer.encode(prepared, add_special_tokens=False)
        ids = np.array(encoding.ids, dtype=np.int64)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        # Some tokenizers step back within a character that became several, or add tokens that stand nowhere.
        starts = np.maximum.accumulate(np.clip(offsets[:, 0], 0, len(text)))
        ends = np.maximum.accumulate(np.clip(offsets[:, 1], 0, len(text)))
        solid = ends > starts
        return Tokens(ids[solid], starts[solid], ends[solid])

    def _special_id(self, token: str, given: int | None) -> int:
        found = self._tokenizer.token_to_id(token) if given is None else given
        if found is None:
            raise ValueError(f"it has no token {token}, and the manifest names no id for it")
        if found >= self._tokenizer.get_vocab_size():
            raise ValueError(
                f"its vocabulary has {self._tokenizer.get_vocab_size()} tokens, so {token} cannot be {found}"
            )
        return int(found)
