"""Where graphs and images come from; the kinds of source are in ``graphs`` and ``images``."""
