"""Searches over settings: one file in W&B's format, run by W&B's agents or without any account."""
