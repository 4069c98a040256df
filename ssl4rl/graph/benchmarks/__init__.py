"""Benchmarks on graphs: node classification, link prediction, also as ranking, and relation prediction."""
