"""Reads ``.pt`` files as PyTorch Geometric writes them, without running what is in them.

A file comes from elsewhere, so it is not trusted: it is read with an allow-list of inert classes, which also means that
neither torch_geometric nor torch_sparse is imported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ssl4rl.data.packed import check_zip
from ssl4rl.errors import UserError


class Record:
    """Stands in for each allowed class of a file; only its ``__dict__`` is filled."""


_STORAGES = ("BaseStorage", "NodeStorage", "EdgeStorage", "GlobalStorage")
ALLOWED = [
    *(f"torch_geometric.data.data.{name}" for name in ("Data", "DataEdgeAttr", "DataTensorAttr")),
    *(f"torch_geometric.data.storage.{name}" for name in _STORAGES),
    "torch_geometric.data.hetero_data.HeteroData",
    "torch_geometric.data.feature_store.TensorAttr",
    "torch_geometric.data.graph_store.EdgeAttr",
    "torch_geometric.data.graph_store.EdgeLayout",
    "torch_sparse.tensor.SparseTensor",
    "torch_sparse.storage.SparseStorage",
]
"""Classes that a file may hold; a record stands in for each."""

_DTYPES = ("bool", "i1", "i2", "i4", "i8", "u1", "f4", "f8", "U1", "O")


def _numpy() -> list[Any]:
    """What numpy arrays are made of in a file; older files name numpy's modules without the underscore."""
    core: Any = np.asarray(0).__reduce__()[0]
    scalar: Any = np.int64(0).__reduce__()[0]
    names = [(core, "_reconstruct"), (scalar, "scalar")]
    aliases = [(each, f"numpy.{module}.multiarray.{name}") for each, name in names for module in ("core", "_core")]
    return [*aliases, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in _DTYPES}]


def read_pt(path: Path) -> dict[Any, Any]:
    """The fields of the one graph in a file: a ``Data``, what ``InMemoryDataset`` saves, or a plain dictionary.

    Of a ``HeteroData``, each kind of node and of edge is a dictionary of fields under its name, as in ``to_dict()``.

    Raises:
        UserError: if the file holds anything but tensors, arrays, texts and numbers, or more than one graph.
    """
    import torch

    check_zip(path)
    try:
        with torch.serialization.safe_globals([*((Record, name) for name in ALLOWED), *_numpy()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, the unpickler's machine trips over whatever is missing
        raise UserError(f"{path} is not a PyG Data file that can be read safely: {_reason(error)}") from error
    fields = _fields(path, content)
    _check_sizes(path, fields)
    return fields


def _check_sizes(path: Path, content: Any) -> None:
    """Refuses a tensor that claims more elements than the file holds, as a view that repeats one does."""
    todo = [content]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], str):
            todo += value
        elif isinstance(value, Record):
            todo += vars(value).values()
        elif hasattr(value, "untyped_storage") and value.layout is _strided():
            claimed, held = value.numel() * value.element_size(), value.untyped_storage().nbytes()
            if claimed > held:
                raise UserError(
                    f"{path}: a tensor claims {claimed:,} bytes and has {held:,}; save it whole (contiguous)"
                )


def _strided() -> Any:
    import torch

    return torch.strided


def _reason(error: Exception) -> str:
    """What is wrong, without torch's advice to load the file unsafely."""
    refused = re.search(r"(?i)unsupported (?:global: )?(?:global|class) (\S+)", str(error))
    if refused or "Weights only load failed" in str(error):
        name = refused[1].strip("`'\"") if refused else "something that is not data"
        return f"it holds {name}; save texts and names as lists of text, and everything else as tensors"
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _is_something(second: Any) -> bool:
    """Whether what was saved beside a graph is more than an empty place."""
    return second is not None and (not hasattr(second, "__len__") or len(second) > 0)


def _fields(path: Path, content: Any) -> dict[Any, Any]:
    # InMemoryDataset saves (data, slices) or (data as a dictionary, slices, class); slices cut it into several graphs.
    if isinstance(content, tuple | list) and content:
        if isinstance(content, tuple) and len(content) > 1 and _is_something(content[1]):
            slices = content[1].values() if isinstance(content[1], dict) else ()
            lengths = {len(ends) for ends in slices if hasattr(ends, "__len__")}
            if lengths != {2}:
                raise UserError(f"{path} holds several graphs; save the one to read")
        elif isinstance(content, list) and len(content) > 1:
            raise UserError(f"{path} holds {len(content)} objects; save the one graph to read")
        content = content[0]
    # Where torch_geometric is imported, its own classes are loaded instead of the records; both have the same parts.
    if not isinstance(content, dict) and {"_store", "_node_store_dict", "edge_index"} & set(
        getattr(content, "__dict__", ())
    ):
        content = _of_object(content)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a PyG Data or a dictionary of its fields")
    return content


def _of_object(record: Any) -> dict[Any, Any]:
    parts = vars(record)
    if "_node_store_dict" in parts:
        stores = {**parts["_node_store_dict"], **parts["_edge_store_dict"]}
        return {kind: _mapping(store) for kind, store in stores.items()} | {"_global_store": {}}
    if "_store" in parts:
        return _mapping(parts["_store"])
    return {key.removeprefix("_"): value for key, value in parts.items()}  # a Data of PyG 1


def _mapping(store: Any) -> dict[Any, Any]:
    return dict(store if isinstance(store, dict) else vars(store)["_mapping"])
