"""Decision problems, one per module: what is observed, decided and paid, and their baselines.

A problem is a record of pure functions over arrays (`problem.py`); an `Environment` steps
it. A live edge calls the same `observe`, `decode` and `cost`, never `transition`: there,
reality is the transition.
"""
