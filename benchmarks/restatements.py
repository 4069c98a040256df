"""A question and another form of it asked together, beside the two asked one after the other.

    python -m benchmarks.restatements [--model FOLDER] [--dataset cora] [--questions 32] [--runs 5]

Forms that change the end of a prompt (options, edges, ends) share what stands before with the usual form, which is then
run once: they are to cost less than half a pass, so that together takes three quarters of the time at most. Forms that
change the beginning (other numbers, other lines) cannot share it. Answer only, by transformers, one token a reply,
prompts as in configs/laptop-graph.yaml.
"""

from __future__ import annotations

import argparse
from functools import partial

import ssl4rl
from benchmarks.common import figure, paired, report
from ssl4rl.errors import NotApplicable
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.messages import Messages

SHARING = ("edges reordered", "options reordered", "ends swapped")
AT_LEAST = 4 / 3
"""Of the ratio: two passes to one and a half."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--dataset", default="citations")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    engine = open_engine("transformers", options.model, dtype=options.dtype)

    def ask(*batches: list[Messages]) -> None:
        for conversations in batches:
            generate(engine, conversations, Sampling(max_new_tokens=1))

    figures = []
    for name in ("node", "link"):
        usual = ssl4rl.benchmark(name, options.dataset, reasoning=False, text_budget=140)
        asked = [usual.example(index).messages() for index in range(options.questions)]
        for form, knobs in usual.restatements.items():
            try:
                restated = usual.changed(knobs)
            except NotApplicable:
                continue
            again = [restated.example(index).messages() for index in range(options.questions)]
            together, apart = paired(partial(ask, asked + again), partial(ask, asked, again), options.runs)
            bound = AT_LEAST if form in SHARING else None
            figures.append(figure(f"{name}, {form}", together, apart, at_least=bound))
    report("restatements", figures, model=options.model, dataset=options.dataset, questions=options.questions)


if __name__ == "__main__":
    main()
