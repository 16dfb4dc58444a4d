"""How token vectors lie in space, and what the projections see of it."""
