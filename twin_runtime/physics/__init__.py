"""The papers' equations, filed by subject: pure NumPy, SI units, each with its source.

Where two papers share an equation there is one function. Arguments are named, numbers or
arrays that broadcast, and checked (`arguments.py`); a docstring cites its equations as
`[P1] (17)`, and `docs/equations.md` is printed from these citations.
"""
