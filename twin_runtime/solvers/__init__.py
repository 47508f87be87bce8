"""Exact and near-exact optimisers, one module per decision: what learned policies are
judged against. Each answer comes with a certificate: its value beside a bound on any other's.
"""
