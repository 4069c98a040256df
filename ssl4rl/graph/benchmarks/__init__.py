"""Benchmarks on graphs: node classification, link prediction and relation prediction, on the canonical splits."""
