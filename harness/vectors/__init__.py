"""Token vectors: encoded, stored, centered."""
