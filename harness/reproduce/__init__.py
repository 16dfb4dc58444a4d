"""Measure the cell of a record again, and compare the two results."""
