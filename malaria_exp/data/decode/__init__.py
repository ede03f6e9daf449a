"""Decoding image files: PNG and JPEG are checked for completeness here, Pillow decodes the pixels of every format."""

from malaria_exp.data.decode.decoder import EMPTY, FORMATS, SUFFIXES, decode
from malaria_exp.data.decode.pixels import MAX_PIXELS

__all__ = ["EMPTY", "FORMATS", "MAX_PIXELS", "SUFFIXES", "decode"]
