"""Checks of the tree itself, which CI runs, and the installation of vLLM for the CPU."""
