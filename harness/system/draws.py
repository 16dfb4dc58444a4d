"""Numbers drawn by sha256: they depend on words alone, and so are the same everywhere and in any order."""

from __future__ import annotations

from hashlib import sha256


def number(*words: str) -> int:
    """A number of 64 bits that depends on the words alone."""
    return int.from_bytes(sha256("\0".join(words).encode()).digest()[:8], "big")
