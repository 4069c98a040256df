"""The contract of every registered task and benchmark at every level, on the embedded sources.

A new task is under it from its registration on; ``make audit-full`` looks at more examples, on real data too.
"""

from dataclasses import replace

import pytest
from every_case import CASES, sources_of

from ssl4rl.audit.contract import check_contract
from ssl4rl.audit.registered import every_task
from ssl4rl.audit.shortcuts import noise
from ssl4rl.data.graphs.citations import default_graph
from ssl4rl.graph.benchmarks.node import NodeClassification
from ssl4rl.registry import BENCHMARKS, SOURCE_KINDS, TASKS

EXAMPLES = {"graph": 500}
FEW_EXAMPLES = 40
"""Of everything that shows images."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_task_keeps_the_contract(case):
    findings = check_contract(case.build(), EXAMPLES.get(case.kind.source_kind.name, FEW_EXAMPLES))
    assert findings.passed, findings


@pytest.fixture(scope="module")
def grain():
    return noise(60)


@pytest.mark.parametrize("case", [case for case in CASES if case.kind.source_kind.name == "images"], ids=str)
def test_every_image_task_keeps_the_contract_on_noise(case, grain):
    findings = check_contract(case.kind(grain, level=case.level, split=case.split), FEW_EXAMPLES)
    assert findings.passed, findings


def test_every_registered_name_is_reached():
    reached = set()
    for source_kind in SOURCE_KINDS.names():
        for source in sources_of(source_kind):
            for split in ("train", "test"):
                reached |= {(task.name, split) for task in every_task(source_kind, source, split)}
    assert reached == {(name, "train") for name in TASKS.names()} | {(name, "test") for name in BENCHMARKS.names()}


def test_a_benchmark_of_one_item_has_nothing_to_hold_against_it():
    graph = default_graph()
    one = graph.node_splits["test"][:1]
    task = NodeClassification(replace(graph, node_splits={**graph.node_splits, "test": one}), split="test")
    assert task.size == 1 and check_contract(task, 10).passed
