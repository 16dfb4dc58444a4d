"""What cache_dir holds, and what may go."""
