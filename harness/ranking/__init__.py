"""Top-k, ties, MaxSim, reranking."""
