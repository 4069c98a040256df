"""One ``generate(messages) -> replies`` over whatever runs the model."""
