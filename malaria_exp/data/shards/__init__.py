"""Sets larger than memory: images of one size in shards, written once and streamed."""
