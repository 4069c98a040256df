"""The result tables of the SSL4RL paper: their cells, to compare runs with, and what recomputing them shows."""
