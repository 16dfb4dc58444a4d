"""The content of cache_dir, its check and its pruning."""
