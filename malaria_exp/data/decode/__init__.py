"""Decoding image files: the structure of each format is read here, strictly, and Pillow makes the pixels."""

from malaria_exp.data.decode.decoder import EMPTY, FORMATS, SUFFIXES, decode
from malaria_exp.data.decode.pixels import MAX_PIXELS

__all__ = ["EMPTY", "FORMATS", "MAX_PIXELS", "SUFFIXES", "decode"]
