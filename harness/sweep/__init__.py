"""Sweeps: the time and state of many cells, and the jobs that many workers do."""
