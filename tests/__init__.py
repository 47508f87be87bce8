"""The tests. A package, since some distributions install a top-level `tests` of their own."""
