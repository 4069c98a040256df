"""The self-supervised tasks on graphs, one file each."""
