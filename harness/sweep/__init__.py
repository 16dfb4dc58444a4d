"""Many cells and many workers."""
