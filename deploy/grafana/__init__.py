"""Dashboards for Grafana, and what they show."""
