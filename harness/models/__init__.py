"""Weights: where they are, what they are, and what is refused."""
