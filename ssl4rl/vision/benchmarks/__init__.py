"""Benchmarks on images."""
