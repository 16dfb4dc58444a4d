"""Token vectors: encoding, storing and centering them."""
