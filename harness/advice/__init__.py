"""Advice: the cheapest configuration whose loss to PLAID is small enough, from records."""
