"""Training: a recipe, GRPO on TRL, a run. The modules are imported by name; this package imports nothing itself."""
