"""The commands: each is a function of the words after it that prints, and returns the exit code.

What is slow to import (torch, matplotlib) is imported in the function that needs it: `ls` and `--help` answer at once.
"""
