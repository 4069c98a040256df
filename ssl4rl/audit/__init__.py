"""Checks of tasks and benchmarks."""
