"""What the paper's text says of its tables: numbers in sentences, each with the cell that it is about."""

from __future__ import annotations

from dataclasses import dataclass

GAIN = "gain"
"""The row of a table's largest gains."""


@dataclass(frozen=True)
class Claim:
    """A number in the text, in percent or percentage points."""

    section: str
    printed: str
    """As it is written: its decimals say how exact it is."""
    table: str
    row: str
    column: str

    @property
    def margin(self) -> float:
        """By how much a cell may differ from it: half a unit of its last digit."""
        decimals = len(self.printed.partition(".")[2])
        return float(0.5 * 10**-decimals + 1e-9)


CLAIMS = (
    Claim("1", "9", "table1_mmbench_3b", GAIN, "Average"),
    Claim("1", "8", "table2_seedbench_3b", GAIN, "Average"),
    Claim("4.1", "7.39", "table1_mmbench_3b", GAIN, "Average"),
    Claim("4.1", "8.94", "table2_seedbench_3b", GAIN, "Average"),
    Claim("4.1", "39.00", "table1_mmbench_3b", GAIN, "Relation"),
    Claim("4.1", "80.54", "table1_mmbench_3b", "rotation", "Relation"),
    Claim("4.1", "41.54", "table1_mmbench_3b", "base", "Relation"),
    Claim("4.1", "19.63", "table2_seedbench_3b", GAIN, "VR"),
    Claim("4.1", "73.41", "table2_seedbench_3b", "rotation", "VR"),
    Claim("4.1", "53.78", "table2_seedbench_3b", "base", "VR"),
    Claim("4.2", "69.27", "table9_mmbench_leaf_difficulty_3b", "contrastive-weak", "Average"),
    Claim("4.2", "77.89", "table9_mmbench_leaf_difficulty_3b", "contrastive-strong", "Average"),
    Claim("4.2", "61.90", "table10_seedbench_difficulty_3b", "contrastive-weak", "Average"),
    Claim("4.2", "65.00", "table10_seedbench_difficulty_3b", "contrastive-strong", "Average"),
    Claim("4.2", "3.70", "table3_mmbench_7b", GAIN, "Logical"),
    Claim("4.2", "3.57", "table8_seedbench_7b", GAIN, "TU"),
    Claim("4.3", "67.14", "table4_imagenet_3b", "position", "Choice-200"),
    Claim("4.3", "57.20", "table4_imagenet_3b", "base", "Choice-200"),
    Claim("5", "13.79", "table5_graph_3b", GAIN, "Average"),
)
"""Every number of the text that a table has too, in its order."""
