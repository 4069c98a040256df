"""A run in numbers and in words: its summary.json, and the lines that are printed before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl4rl.training.checks import BatchPlan
    from ssl4rl.training.preparation import Prepared

WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SAMPLING = (1.0, 2.5)
"""A step takes so many times as long as its sampling."""
ONE_MORE = 0.25
"""What a further reply to a prompt takes of the first one's time: they share the prompt, and are sampled together."""
CLEAR = 0.05
"""A paired p below this is called a change."""


def reward_change(metrics: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """The mean reward over the first and the last tenth of the steps, and that of each task of a mixture."""
    steps = [line for line in metrics if "reward" in line]
    change: dict[str, Any] = _first_and_last([line["reward"] for line in steps])
    by_task = {}
    for name in names:
        # A step need not have an example of every task.
        by_task[name] = _first_and_last([line[f"reward/{name}"] for line in steps if f"reward/{name}" in line])
    return {**change, "tasks": by_task} if by_task else change


def _first_and_last(values: list[float]) -> dict[str, float | None]:
    tenth = max(1, len(values) // 10)
    return {"first": _mean(values[:tenth]), "last": _mean(values[-tenth:])}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def describe_plan(run: Prepared) -> list[str]:
    """What training would do."""
    plan = run.plan
    return [
        *run.notes,
        *(f"risky: {line}" for line in run.risks),
        f"{run.tasks.train.label} on {run.tasks.train.source.name}, model {run.recipe.model.path}",
        f"{counted(plan.max_steps, 'optimiser step')}; {plan.prompts_per_generation} prompts x "
        f"{plan.num_generations} completions are sampled at once, {plan.num_prompts} prompts in all",
        f"longest prompt measured: {run.longest}",
        *_describe_server(run),
        *_describe_scale(run),
    ]


def describe_time(plan: BatchPlan, replies: int, seconds: float, evaluations: int) -> str:
    """How long a run will take, from how long ``replies`` held-out replies took; they are asked ``evaluations`` times.

    Of a step, sampling is from two fifths to nearly all, by model, prompt and what flat groups are refilled with.
    """
    sampled = plan.num_prompts * (1 + ONE_MORE * (plan.num_generations - 1)) * seconds / replies
    low, high = (factor * sampled + evaluations * seconds for factor in SAMPLING)
    return f"estimated time: {_minutes(low)} to {_minutes(high)}, by the pace of the held-out replies"


def plan_facts(run: Prepared) -> dict[str, Any]:
    """The same for programs."""
    return {
        "task": run.tasks.train.label,
        "dataset": run.tasks.train.source.name,
        "model": run.recipe.model.path,
        **asdict(run.plan),
        "num_prompts": run.plan.num_prompts,
        "processes": run.processes,
        "longest_prompt": run.longest.tokens,
        "num_weights": run.num_weights,
        "notes": run.notes,
        "risks": run.risks,
    }


def _describe_server(run: Prepared) -> list[str]:
    """Where the completions come from, if that is a server."""
    grpo = run.recipe.grpo
    if grpo.get("vllm_mode") != "server":
        return []
    # The defaults are trl.GRPOConfig's (1.16).
    host, port = grpo.get("vllm_server_host", "0.0.0.0"), grpo.get("vllm_server_port", 8000)
    address = grpo.get("vllm_server_base_url") or f"http://{host}:{port}"
    start = f"trl vllm-serve --model {run.files.path}"
    return [f"completions come from the vLLM server at {address}, which this starts: {start}"]


def _describe_scale(run: Prepared) -> list[str]:
    """What an optimiser step costs, and how several processes divide it."""
    plan, grpo = run.plan, run.recipe.grpo
    completions = plan.completions_per_step
    lines = []
    if run.processes > 1:
        lines.append(
            f"{run.processes} processes: {completions:,} completions an optimiser step; one process would have "
            f"{completions // run.processes:,}, and --keep-global-batch keeps to that"
        )
    wanted = grpo.get("warmup_steps", 0)
    if (warmup := plan.warmup(wanted)) < wanted:
        lines.append(f"grpo.warmup_steps={wanted:g} is shortened to {warmup:g}, a tenth of the steps")
    tokens = completions * grpo.get("max_completion_length", 256)
    tokens += completions // plan.num_generations * run.longest.tokens
    lines.append(f"at most {tokens:,} tokens an optimiser step, each prompt counted once a group")
    if run.num_weights is not None:
        dtype = run.recipe.model.dtype
        if dtype == "auto":
            dtype = str(run.files.config.dtype).removeprefix("torch.")
        weights = run.num_weights * WEIGHT_BYTES.get(dtype, 4) / 2**30
        # Adam keeps two numbers a weight, in the weight's own type.
        trained, more = 3 * weights, "gradients and Adam's moments"
        if run.recipe.model.lora:
            trained, more = 0.0, "and adapters"
        elif grpo.get("beta", 0.0):
            trained, more = 4 * weights, "gradients, Adam's moments and the model that grpo.beta compares with"
        lines.append(
            f"memory of each process: {weights + trained:.2f} GiB for {run.num_weights / 1e6:,.1f} million weights, "
            f"{more}, and less where FSDP or DeepSpeed shard them; activations come on top, and are most for small ones"
        )
    return lines


def describe_estimate(estimate: Mapping[str, Any]) -> str:
    """A held-out score: ``0.638 (0.595 to 0.679, n=500, 99% valid)``, and that of each task of a mixture."""
    line = (
        f"{estimate['score']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f}, "
        f"{_examples(estimate)}, {estimate['valid']:.0%} valid)"
    )
    tasks = [f"{name} {own['score']:.3f}" for name, own in estimate.get("tasks", {}).items()]
    return f"{line}: {', '.join(tasks)}" if tasks else line


def describe_work(summary: Mapping[str, Any]) -> str:
    """What was trained on, and for how long."""
    steps = counted(summary["steps"], "step")
    return f"{summary['task']} on {summary['dataset']}: {steps} in {_minutes(summary['seconds'])}"


def describe_result(summary: Mapping[str, Any], run: Path) -> list[str]:
    """What a finished run learned."""
    lines = [describe_work(summary)]
    before, after, best, paired = (summary["heldout"][name] for name in ("before", "after", "best", "paired"))
    model, model_lines = "the last", []
    if before is not None:
        guessing = f", chance {summary['heldout']['chance']:.3f}" if "chance" in summary["heldout"] else ""
        lines.append(f"held-out score {_range(before)} before, {_range(after)} after ({_examples(after)}{guessing})")
        unread = min(before["parsed"], after["parsed"]) < 1
        if unread and before["score_parsed"] is not None and after["score_parsed"] is not None:
            lines.append(
                f"among replies that could be read: {_range(before, '_parsed')} before, {_range(after, '_parsed')} "
                f"after ({before['parsed']:.1%} and {after['parsed']:.1%} of the replies)"
            )
        for name, own in after.get("tasks", {}).items():
            gain = describe_difference(paired["tasks"][name])
            lines.append(
                f"{name}: {_range(before['tasks'][name])} before, {_range(own)} after ({_examples(own)}): {gain}"
            )
        lines.append(describe_verdict(paired))
        model = "the last, and the best by held-out score"
        if best["step"] != summary["steps"]:
            gain = describe_difference(best["paired"])
            lines.append(f"best after step {best['step']}: {_range(best)}, {gain}; chosen by this very score")
            model = f"the best by held-out score, of step {best['step']}"
            model_lines = [f"last model: {run / 'last'}"]
    lines += [f"run: {run}", f"model: {run / 'model'} ({model})", *model_lines]
    if "loss" not in summary:
        lines.append(f"its replies: ssl4rl log {run}")
    return [*lines, f"all of it on one page: ssl4rl report {run}"]


def describe_difference(paired: Mapping[str, Any]) -> str:
    """A paired difference: ``+14.0 points [+9.8, +18.1], paired p < 0.001``."""
    gain, low, high = (100 * paired[name] for name in ("difference", "low", "high"))
    p = f"p = {paired['p']:.3f}" if paired["p"] >= 0.001 else "p < 0.001"
    return f"{gain:+.1f} points [{low:+.1f}, {high:+.1f}], paired {p}"


def describe_verdict(paired: Mapping[str, Any]) -> str:
    """Whether the held-out score rose, fell, or neither: ``learned: +14.0 points [+9.8, +18.1], paired p < 0.001``."""
    word = "no clear change"
    if paired["p"] < CLEAR:
        word = "learned" if paired["difference"] > 0 else "got worse"
    return f"{word}: {describe_difference(paired)}"


def _examples(estimate: Mapping[str, Any]) -> str:
    """``n=500``, and how many are distinct where several are on the same node, pair or image."""
    n, distinct = estimate["n"], estimate["distinct"]
    return f"n={n}" if n == distinct else f"n={n}, {distinct} distinct"


def _range(estimate: Mapping[str, Any], suffix: str = "") -> str:
    low, high = estimate[f"low{suffix}"], estimate[f"high{suffix}"]
    return f"{estimate[f'score{suffix}']:.3f} [{low:.3f}, {high:.3f}]"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 step``, ``2,000 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _minutes(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
