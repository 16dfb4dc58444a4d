"""Can MUVERA or SMVE replace PLAID for *your* late-interaction model? A benchmark and evaluation harness."""

__version__ = "0.2.0.dev0"
