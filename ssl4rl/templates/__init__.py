"""The commented folder that ``ssl4rl data new`` writes: three small files to replace with one's own."""

from __future__ import annotations

import json
from pathlib import Path

from ssl4rl.errors import UserError
from ssl4rl.registry import GRAPHS

NODES = """\
id,title,content,label
sourdough,Sourdough starter,"Flour and water left to ferment, fed every day.",bread
rye,Rye loaf,A dense loaf that keeps for a week.,bread
focaccia,Focaccia,"A flat bread with olive oil, baked hot.",bread
lentil,Lentil soup,"Lentils, carrots and a bay leaf, simmered for an hour.",soup
minestrone,Minestrone,Vegetables and beans in broth; good with focaccia.,soup
borscht,Borscht,"Beetroot soup, served with rye bread.",soup
"""

EDGES = """\
source,target
sourdough,rye
sourdough,focaccia
rye,borscht
focaccia,minestrone
lentil,minestrone
minestrone,borscht
lentil,rye
"""

SETTINGS = """\
# Describes the graph in this folder. Every key is optional: a line that is commented out shows the default.
# After a change: ssl4rl data validate FOLDER

# What reports call the graph (by default the folder's name).
name: {name}

# ---- nodes.csv (or nodes.jsonl, nodes.parquet): one row per node ----

# The column that identifies a node; the edges refer to it.
# id: id

# What is known about a node: a column, or a template over columns in braces. By default the column `text`,
# else `title` followed by `content`, `abstract` or `description`.
text: "{{title}}. {{content}}"

# The column with the class, for node classification only: no task is trained on it.
# By default `label_name` or `label`, if there is one.
label: label

# A column with train, val or test. By default `split`, if there is one; without it splits are seeded.
# split: split

# What one node is, as a noun phrase; prompts use it.
node: a recipe

# ---- edges.csv (or edges.jsonl, edges.parquet): columns source and target, and optionally relation and text ----

# What an edge says about its two nodes, as a clause; prompts use it.
edge: the two recipes are often cooked together

# The column with the kind of each edge, for knowledge graphs. By default `relation`, if there is one.
# relation: relation

# Does the order of source and target matter? By default only where there is a relation.
# directed: false
"""


def write_skeleton(folder: Path) -> None:
    """Writes nodes.csv, edges.csv and dataset.yaml into a new (or empty) folder.

    Raises:
        UserError: if there is something already, or if the name is a registered dataset's.
    """
    if str(folder) in GRAPHS.names():
        raise UserError(f"{folder} is the name of a dataset that exists; choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    # A JSON string is a YAML string too, whatever characters the folder's name has.
    name = json.dumps(folder.resolve().name, ensure_ascii=False)
    for file, text in (("nodes.csv", NODES), ("edges.csv", EDGES), ("dataset.yaml", SETTINGS.format(name=name))):
        (folder / file).write_text(text, encoding="utf-8")
