"""Measurements: speed and memory beside their peers, learning, and audits. Results are kept in ``results/``."""
