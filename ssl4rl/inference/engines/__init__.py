"""What runs a model: vLLM, transformers, or a server."""
