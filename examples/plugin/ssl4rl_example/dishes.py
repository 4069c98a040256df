"""A graph of dishes: each has a description, and is linked with the dishes that it is served with."""

from __future__ import annotations

from functools import cache

import numpy as np

from ssl4rl.graph.graph import TextAttributedGraph
from ssl4rl.rng import seeded_rng

NUM_DISHES = 400
LINKS_PER_DISH = 3
P_SAME_KITCHEN = 0.9
"""A dish is served with one of its own kitchen with this probability, and with any other dish otherwise."""

KITCHENS = {
    "coast": ["mussels", "cod", "seaweed", "shrimp", "samphire", "squid", "lemon", "fennel"],
    "forest": ["mushrooms", "venison", "chestnuts", "juniper", "blueberries", "nettles", "hazelnuts", "sorrel"],
    "garden": ["peas", "courgette", "tomatoes", "basil", "beans", "radish", "lettuce", "mint"],
    "hills": ["lamb", "goat-cheese", "honey", "barley", "thyme", "figs", "walnuts", "rosemary"],
}
"""The classes, and the ingredients of their dishes. No text names its kitchen."""
STAPLES = ["onion", "garlic", "butter", "salt", "pepper", "bread", "rice", "cream"]
WAYS = ["baked", "grilled", "braised", "pickled", "smoked", "roasted", "steamed", "chilled"]


@cache
def dishes() -> TextAttributedGraph:
    """The graph. It is drawn from a fixed seed, so it is the same everywhere; and kept, so it is drawn once."""
    rng = seeded_rng("dishes")
    kitchen = np.arange(NUM_DISHES) % len(KITCHENS)
    texts = []
    for name in np.array(list(KITCHENS))[kitchen]:
        first, second = rng.choice(KITCHENS[name], 2, replace=False)
        side = f"{rng.choice(WAYS)} {rng.choice(STAPLES)}"
        texts.append(f"{rng.choice(WAYS)} {first} with {second}, {rng.choice(STAPLES)} and {side}")
    pairs = []
    for number in range(NUM_DISHES):
        same = np.flatnonzero(kitchen == kitchen[number])
        for _ in range(LINKS_PER_DISH):
            pairs.append((number, rng.choice(same) if rng.random() < P_SAME_KITCHEN else rng.integers(NUM_DISHES)))
    # Self-loops and repeated pairs are dropped (and counted) here.
    return TextAttributedGraph.from_edges(
        "dishes",
        texts,
        np.array(pairs).T,
        labels=kitchen,
        label_names=list(KITCHENS),
        label_descriptions=[f"dishes of the {name}" for name in KITCHENS],
        node_meaning="a dish",
        edge_meaning="the two dishes are served together",
    )
