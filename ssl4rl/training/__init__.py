"""Training: a recipe, GRPO on TRL, the run folder. Import the modules; this package imports nothing heavy itself."""
