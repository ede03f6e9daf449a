"""Storages: each builder returns a Storage, to which finished runs are copied."""
