"""Checks of the tree itself, which CI runs."""
