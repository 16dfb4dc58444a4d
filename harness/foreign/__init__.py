"""Runs of other engines: read from their files, scored beside ours, and reranked where there is a model."""
