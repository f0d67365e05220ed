"""Read trained taggers from the folders of other frameworks. Only pytorch_model.bin needs torch."""

from hanner_models.source.base import ConversionError, Source
from hanner_models.source.read import read_source

__all__ = ["ConversionError", "Source", "read_source"]
