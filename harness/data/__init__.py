"""Texts, queries and judgements."""
