"""Models: checkpoints, their heads, and what is refused in them."""
