"""Writes small files in the raw layout of each TAGLAS dataset: ``python tests/data/graphs/taglas_samples.py FOLDER``.

They stand in for the real files in tests, so this script knows the format on its own and never imports the loader.
Contents are made up; sizes, classes and oddities (a nameless class, self-loops, missing entities) are on purpose.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

NUM_NODES = 40
WORDS = ["graph", "cell", "query", "engine", "protein", "logic", "insulin", "kernel", "tree", "cache", "trial", "proof"]


def sentence(rng: random.Random, length: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length)).capitalize() + "."


def some_pairs(rng: random.Random, num_nodes: int = NUM_NODES) -> list[tuple[int, int]]:
    """A ring and some chords, each unordered pair once."""
    pairs = {(node, node + 1) for node in range(num_nodes - 1)} | {(0, num_nodes - 1)}
    for _ in range(num_nodes):
        left, right = sorted(rng.sample(range(num_nodes), 2))
        pairs.add((left, right))
    return sorted(pairs)


def both_ways(pairs: list[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(sorted([*pairs, *((right, left) for left, right in pairs)])).T.contiguous()


def masks(train: range, val: range, test: range) -> list[torch.Tensor]:
    result = []
    for part in (train, val, test):
        mask = torch.zeros(NUM_NODES, dtype=torch.bool)
        mask[list(part)] = True
        result.append(mask)
    return result


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_csv_gz(path: Path, rows: list[list[Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def papers(folder: Path, stem: str, classes_file: str, names: list[str], entries: list[dict[str, str]]) -> None:
    """Cora and PubMed: a pickled ``Data`` with a name per node, and two columns of masks."""
    rng = random.Random(stem)
    labels = [node % len(names) for node in range(NUM_NODES)]
    train, val, test = masks(range(12), range(12, 20), range(20, 40))
    data = Data(edge_index=both_ways(some_pairs(rng)), x=torch.zeros(NUM_NODES, 1), y=torch.tensor(labels))
    data.raw_texts = [f"{sentence(rng, 4)} : {sentence(rng, 12)}" for _ in range(NUM_NODES)]
    data.raw_texts[3] = f'{sentence(rng, 4)} : We call it ""quoted"" &amp; spaced \n  out.'
    data.label_names = data.category_names = [names[label] for label in labels]
    data.train_masks, data.val_masks, data.test_masks = [train, val], [val, train], [test, test]
    torch.save(data, folder / f"{stem}.pt")
    write_json(folder / classes_file, entries)


def write_cora(folder: Path) -> None:
    names = ["Rule_Learning", "Neural_Networks", "Theory"]
    # The file of descriptions is in another order than the labels: they go together by name.
    entries = [{"name": name, "description": f"papers about {name.lower()}"} for name in reversed(names)]
    papers(folder, "cora", "cora_node.json", names, entries)


def write_pubmed(folder: Path) -> None:
    names = ["Diabetes Mellitus, Experimental", "Diabetes Mellitus Type 1", "Diabetes Mellitus Type 2"]
    entries = [{"name": name, "description": f"about {name}"} for name in ("Experimental", "Type 1", "Type 2")]
    papers(folder, "pubmed", "pubmed.json", names, entries)


def write_wikics(folder: Path) -> None:
    """Adjacency lists with links in one direction only, in both, and to oneself; masks as lists of 20 splits."""
    rng = random.Random("wikics")
    links: list[list[int]] = [[] for _ in range(NUM_NODES)]
    for number, (left, right) in enumerate(some_pairs(rng)):
        links[left].append(right)
        if number % 3 == 0:
            links[right].append(left)
    links[5].append(5)
    train, val, test = (mask.tolist() for mask in masks(range(12), range(12, 20), range(20, 40)))
    names = ["Computational linguistics", "Databases", "Operating systems"]
    data = {
        "features": [[0.0, 1.0]] * NUM_NODES,
        "labels": [node % 3 for node in range(NUM_NODES)],
        "links": links,
        "train_masks": [train] + [val] * 19,
        "val_masks": [val] + [train] * 19,
        "stopping_masks": [val] * 20,
        "test_mask": test,
    }
    write_json(folder / "data.json", data)
    nodes = [
        {
            "id": str(1000 + node),
            "title": f"Article_{node}",
            "label": names[node % 3],
            "tokens": sentence(rng, 8).split(),
            "outlinks": [str(1000 + other) for other in links[node]],
        }
        for node in range(NUM_NODES)
    ]
    write_json(folder / "metadata.json", {"nodes": nodes, "labels": {str(i): name for i, name in enumerate(names)}})
    entries = [{"name": name.lower(), "description": f"articles on {name.lower()}"} for name in names]
    write_json(folder / "wikics.json", entries)


def sparse_tensor(pairs: list[tuple[int, int]]) -> Any:
    """An object that pickles as torch_sparse's ``SparseTensor`` does, without needing torch_sparse."""
    made: dict[str, type] = {}
    sys.modules["torch_sparse"] = types.ModuleType("torch_sparse")
    for module, name in (("torch_sparse.tensor", "SparseTensor"), ("torch_sparse.storage", "SparseStorage")):
        made[name] = type(name, (), {"__module__": module})
        sys.modules[module] = types.ModuleType(module)
        setattr(sys.modules[module], name, made[name])
    rows, columns = torch.tensor(sorted(pairs)).T
    storage = made["SparseStorage"]()
    degrees = torch.bincount(rows, minlength=NUM_NODES)
    unset = dict.fromkeys(("_row", "_value", "_rowcount", "_colptr", "_colcount", "_csr2csc", "_csc2csr"))
    storage.__dict__ |= unset | {
        "_rowptr": torch.cat([torch.zeros(1, dtype=torch.long), degrees.cumsum(0)]),
        "_col": columns.contiguous(),
        "_sparse_sizes": (NUM_NODES, NUM_NODES),
    }
    tensor = made["SparseTensor"]()
    tensor.__dict__["storage"] = storage
    return tensor


def adjacency_fields(kind: str, pairs: list[tuple[int, int]]) -> dict[str, Any]:
    if kind == "edge_index":
        return {"edge_index": torch.tensor(pairs).T.contiguous()}
    if kind == "csr":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sparse CSR is in beta
            size = (NUM_NODES, NUM_NODES)
            ends = torch.tensor(pairs).T
            return {"adj_t": torch.sparse_coo_tensor(ends, torch.ones(len(pairs)), size).to_sparse_csr()}
    return {"adj_t": sparse_tensor(pairs)}


def write_products(folder: Path, adjacency: str = "torch_sparse") -> None:
    """47 classes, of which 24 is nameless and 44 and 45 are empty; the adjacency holds one direction."""
    rng = random.Random("products")
    labels = [label if label not in (44, 45) else 46 for label in (20 + (7 * node) % 27 for node in range(NUM_NODES))]
    train, val, test = masks(range(16), range(16, 20), range(20, 40))
    data = Data(x=torch.zeros(NUM_NODES, 2), y=torch.tensor(labels).reshape(-1, 1), num_nodes=NUM_NODES)
    for name, value in adjacency_fields(adjacency, some_pairs(rng)).items():
        data[name] = value
    data.train_mask, data.val_mask, data.test_mask = train, val, test
    torch.save(data, folder / "ogbn-products_subset.pt")
    rows: list[list[Any]] = [["uid", "nid", "title", "content"]]
    for node in range(NUM_NODES):
        title = "" if labels[node] == 24 else f"Product {node} &amp; case, 8&quot;"
        rows.append([node, 1000 + node, title, "" if node % 9 == 0 else sentence(rng, 9)])
    write_csv_gz(folder / "ogbn-products_subset.csv.gz", rows)
    names = [f"Category {label}" for label in range(47)]
    names[24], names[46] = "label 25", "#508510"
    write_csv_gz(
        folder / "labelidx2productcategory.csv.gz", [["label idx", "product category"], *map(list, enumerate(names))]
    )
    described = [name for name in names if name.startswith("Category")]
    write_json(folder / "products.json", [{"name": name, "description": f"Goods of {name}"} for name in described])


def write_triples(folder: Path, triples: list[tuple[str, str, str]]) -> None:
    bounds = {"train": (0, -12), "valid": (-12, -6), "test": (-6, len(triples))}
    for split, (start, stop) in bounds.items():
        lines = ["\t".join(triple) for triple in triples[start:stop]]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    relations = dict.fromkeys(relation for _, relation, _ in triples)
    entries = [{"name": name, "description": name.strip("_/").replace("_", " ")} for name in relations]
    write_json(folder / f"{folder.name.lower()}.json", entries)


def write_fb15k237(folder: Path) -> None:
    """One entity without an entry, one without a description, one without a real label; two self-loops."""
    rng = random.Random("fb15k237")
    ids = [f"/m/0{node:03d}" for node in range(NUM_NODES)]
    about: dict[str, Any] = {}
    for node, entity in enumerate(ids[:-1]):
        about[entity] = {
            "alternatives": [f"Nr. {node}"] if node % 2 else [],
            "description": f"place number {node}",
            "label": "Springfield" if node in (4, 5) else f"Place {node}",
            "wikidata_id": f"Q{node}",
            "wikipedia": None,
        }
    about[ids[7]] |= {"description": None}
    about[ids[8]] |= {"description": None, "label": "Q8"}
    write_json(folder / "entity2wikidata.json", about)
    relations = [
        "/location/country/capital",
        "/people/person/spouse_s./people/marriage/type_of_union",
        "/soccer/football_team/current_roster./sports/sports_team_roster/position",
        "/soccer/football_team/current_roster./soccer/football_roster_position/position",
        "/american_football/football_team/current_roster./sports/sports_team_roster/position",
    ]
    pairs = [*some_pairs(rng), (2, 2)]
    triples = [(ids[left], relations[i % 5], ids[right]) for i, (left, right) in enumerate(pairs)]
    write_triples(folder, [(ids[1], relations[1], ids[1]), (ids[0], relations[3], ids[1]), *triples])


def write_wn18rr(folder: Path) -> None:
    rng = random.Random("wn18rr")
    ids = [f"{100 + node:08d}" for node in range(NUM_NODES)]
    lines = [f"{sense}\tword {node}, meaning number {node}, {sentence(rng, 3)}" for node, sense in enumerate(ids)]
    lines[2] += "   a second sense with this number"
    (folder / "entity2text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    relations = ["_hypernym", "_derivationally_related_form", "_has_part"]
    triples = [(ids[left], relations[i % 3], ids[right]) for i, (left, right) in enumerate(some_pairs(rng))]
    write_triples(folder, triples)


FOLDERS = {
    "Cora": write_cora,
    "Pubmed": write_pubmed,
    "wikics": write_wikics,
    "FB15K237": write_fb15k237,
    "WN18RR": write_wn18rr,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write; laid out like the hub repository")
    parser.add_argument("--adjacency", choices=["torch_sparse", "csr", "edge_index"], default="torch_sparse")
    options = parser.parse_args()
    for name, write in FOLDERS.items():
        (options.folder / name).mkdir(parents=True, exist_ok=True)
        write(options.folder / name)
    (options.folder / "products").mkdir(parents=True, exist_ok=True)
    write_products(options.folder / "products", options.adjacency)


if __name__ == "__main__":
    main()
