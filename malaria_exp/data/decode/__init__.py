"""Decoding image files: the structure of each format is read here, strictly, and Pillow makes the pixels."""

from malaria_exp.data.decode.container import MAX_PIXELS
from malaria_exp.data.decode.decoder import EMPTY, FORMATS, SUFFIXES, decode

__all__ = ["EMPTY", "FORMATS", "MAX_PIXELS", "SUFFIXES", "decode"]
