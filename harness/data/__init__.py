"""Data sets: documents, queries and relevance judgements."""
