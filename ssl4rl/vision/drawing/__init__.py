"""The program that draws the embedded scenes."""
