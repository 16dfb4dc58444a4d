"""Scores: NDCG@10, fidelity to MaxSim, paired tests, run files."""
