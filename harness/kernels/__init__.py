"""The inner loops on a CPU, compiled by numba: small functions, with their arithmetic in the docstrings.

They work on plain numpy arrays, allocate nothing large, and release Python's global lock, so that
`harness.system.threads` can run them in parallel. tests/reference.py has a slow reference for each. The same operations
for a GPU are in the modules of `harness.ranking` and `harness.methods` whose names end in ``_gpu`` or ``_triton``.

Each function is marked `no_type_check`, so that the type checker of the tests does not wrap what numba must compile.
"""
