"""Scenarios by name: frozen parameters with units, all defaults those of the papers' digests.

Each module is one; `dataclasses.replace` adjusts it, and its checks run again.
"""
