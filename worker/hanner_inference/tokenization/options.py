"""How texts are prepared for a model: the tokenizer's part of the manifest. No I/O."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hanner_inference.tokenization.normalise import normalise


class TokenizerOptions(BaseModel):
    """How texts were prepared when the model was trained; part of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lowercase: bool
    half_width: bool
    fold_traditional: bool = False
    """Whether traditional characters are replaced by simplified ones, one for one."""
    compatible: bool = False
    """Whether characters are replaced by Unicode's compatible forms (NFKC), one for one, and white space by spaces."""
    max_length: Annotated[int, Field(ge=16)]
    """Maximum number of tokens of the model's input, special tokens included; with pieces, of characters."""
    cls_id: Annotated[int, Field(ge=0)] | None = None
    """Id of the token before every window; by default that of [CLS]."""
    sep_id: Annotated[int, Field(ge=0)] | None = None
    """Id of the token after every window; by default that of [SEP]."""
    split: Literal["words", "characters", "pieces"] = "words"
    """What the tokenizer receives: the whole text, in which it finds the words; one character at a time; or a window,
    which it splits into pieces, and the model labels characters, see `hanner_inference.tokenization.pieces`."""
    label_mask: Literal["all", "first"] = "all"
    """Which tokens of a word have labels and take part in the CRF: all, or only the first."""

    def normalise(self, text: str) -> str:
        """Return the text as the tokenizer receives it; it has as many code points as `text`."""
        return normalise(
            text,
            half_width=self.half_width,
            lowercase=self.lowercase,
            fold_traditional=self.fold_traditional,
            compatible=self.compatible,
        )
