"""The self-supervised tasks on images, one file each."""
