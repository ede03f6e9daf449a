"""Data sets beyond memory: pixels of one size in shards, written once and streamed."""
