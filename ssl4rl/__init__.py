"""ssl4rl: reinforcement learning for language and vision-language models on self-supervised rewards.

Corrupt an input, ask the model to undo or recognise the corruption, compare its answer with the target that
the data itself provides, and optimise with GRPO. Importing this package imports nothing heavy.
"""

from importlib.metadata import version

__version__ = version("ssl4rl")
