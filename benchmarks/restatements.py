"""What it costs to ask a question again in another form, beside asking it for the first time.

    python -m benchmarks.restatements [--model FOLDER] [--dataset cora] [--questions 32] [--runs 5]

The peer is one pass over the usual form of the questions; ours is what a form adds to it when both are asked together.
Forms that change the end of a prompt (options, edges, ends) share what stands before with the usual form; those that
change its beginning (other numbers, other lines) cannot. Answer only, by transformers, one token a reply.
"""

from __future__ import annotations

import argparse

import ssl4rl
from benchmarks.common import figure, report, seconds
from ssl4rl.errors import NotApplicable
from ssl4rl.inference.engines import Sampling, generate, open_engine
from ssl4rl.inference.messages import Messages

SHARING = ("edges reordered", "options reordered", "ends swapped")
AT_LEAST = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--dataset", default="citations")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    engine = open_engine("transformers", options.model, dtype=options.dtype)

    def spent(conversations: list[Messages]) -> float:
        return seconds(lambda: generate(engine, conversations, Sampling(max_new_tokens=1)))

    figures = []
    for name in ("node", "link"):
        usual = ssl4rl.benchmark(name, options.dataset, reasoning=False)
        asked = [usual.example(index).messages() for index in range(options.questions)]
        for form, knobs in usual.restatements.items():
            try:
                restated = usual.changed(knobs)
            except NotApplicable:
                continue
            again = [restated.example(index).messages() for index in range(options.questions)]
            added, once = [], []
            spent(asked + again)
            for _ in range(options.runs):
                once.append(spent(asked))
                added.append(spent(asked + again) - once[-1])
            bound = AT_LEAST if form in SHARING else None
            figures.append(figure(f"{name}, {form}", added, once, at_least=bound))
    report("restatements", figures, model=options.model, dataset=options.dataset, questions=options.questions)


if __name__ == "__main__":
    main()
