"""Evaluation: statistics of scores."""
