"""Convert simplified to traditional characters, one for one, for training and evaluation. Needs OpenCC."""

from collections.abc import Callable

from hanner.errors import HannerError


class ConverterMissingError(HannerError):
    """OpenCC, which converts to traditional characters, is not installed. Install the extra `train`."""


def traditional_converter() -> Callable[[str], str]:
    """Return a function that converts simplified to traditional characters, one for one.

    A text whose length changes is returned as it is.

    Raises:
        ConverterMissingError: if OpenCC is not installed.
    """
    try:
        from opencc import OpenCC  # noqa: PLC0415 - only if traditional characters are wanted
    except ModuleNotFoundError:
        raise ConverterMissingError("traditional characters need OpenCC; pip install 'hanner[train]'") from None
    converter = OpenCC("s2t")

    def convert(text: str) -> str:
        converted: str = converter.convert(text)
        return converted if len(converted) == len(text) else text

    return convert
