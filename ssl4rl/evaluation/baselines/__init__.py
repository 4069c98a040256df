"""What cheap predictors answer to the items that a model was asked: a score means little alone."""
