"""The inner loops on a CPU, compiled by numba: one small function each, the arithmetic in its docstring.

They work on plain numpy arrays, allocate nothing large, and let go of Python's lock (`harness.system.threads` runs them side
by side). The slow reference of each is in tests/reference.py; the same operations for a GPU are in `harness.ranking.maxsim_gpu`.

`no_type_check` stands above each of them so that the type checker of the tests does not wrap what numba must compile.
"""
