"""Recipes: what is read, what is refused, and that the refusal helps."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toys import toy_tasks

import ssl4rl
from ssl4rl.errors import UserError
from ssl4rl.training.checks import BatchPlan, check, plan_batches
from ssl4rl.training.preparation import prepare
from ssl4rl.training.recipe import MODEL_GRPO, QUICKSTART_GRPO, Recipe
from ssl4rl.training.recipe_file import grpo_fields, load_recipe, side_of_recipe

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_quickstart_recipe_spells_out_the_defaults() -> None:
    assert load_recipe(CONFIGS / "quickstart.yaml") == Recipe() == load_recipe()
    assert load_recipe(CONFIGS / "quickstart-vision.yaml") == load_recipe(side="vision")


def test_every_field_is_described() -> None:
    def fields(model):
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field.description
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, Recipe.__base__):
                    yield from fields(kind)

    assert not [name for name, description in fields(Recipe) if not description]


def test_grpo_names_are_those_of_the_installed_trl() -> None:
    import dataclasses

    from trl import GRPOConfig

    assert grpo_fields() == {field.name for field in dataclasses.fields(GRPOConfig)}


def test_overrides_are_yaml_scalars_at_dotted_places() -> None:
    recipe = load_recipe(
        overrides=["seed=3", "grpo.learning_rate=2e-5", "model.lora.r=4", "heldout.examples=0", "share_prompt=false"]
    )
    assert recipe.seed == 3 and recipe.grpo["learning_rate"] == 2e-5 and recipe.heldout.examples == 0
    assert recipe.model.lora is not None and recipe.model.lora.r == 4 and recipe.share_prompt is False
    assert recipe.grpo["num_generations"] == QUICKSTART_GRPO["num_generations"]


def test_knobs_go_to_every_task_that_has_them() -> None:
    recipe = load_recipe(tasks=["link", "neighbor"], level="easy", dataset="cora", overrides=["task.num_hops=2"])
    assert [(t.name, t.level, t.dataset, t.knobs) for t in recipe.tasks] == [
        ("link", "easy", "cora", {"num_hops": 2}),
        ("neighbor", "easy", "cora", {"num_hops": 2}),
    ]


def test_a_task_named_on_the_command_line_keeps_the_settings_of_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("tasks: [{name: link, level: hard}, {name: attribute}]\n")
    assert [(t.name, t.level) for t in load_recipe(file, tasks=["link"]).tasks] == [("link", "hard")]


def test_a_task_named_on_the_command_line_is_every_entry_of_that_name(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("tasks: [{name: link, dataset: a}, {name: attribute}, {name: link, dataset: b}]\n")
    assert [(t.name, t.dataset) for t in load_recipe(file, tasks=["link"]).tasks] == [("link", "a"), ("link", "b")]


def test_the_side_of_a_recipe_is_that_of_its_first_task(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    for content, side in (("tasks: [{name: rotation}]", "vision"), ("seed: 1", "graph"), ("tasks: [{}]", "graph")):
        file.write_text(content)
        assert side_of_recipe((), file) == side
        assert side_of_recipe(("jigsaw",), file) == side_of_recipe(("jigsaw",), None) == "vision"


def test_a_model_without_a_recipe_gets_settings_for_real_models() -> None:
    assert load_recipe(model="some/model").grpo == MODEL_GRPO
    assert load_recipe(model="some/model", overrides=["model.lora.r=8"]).grpo["learning_rate"] == 2e-5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("grpo.learning_rat=1", "'grpo.learning_rat'; did you mean grpo.learning_rate"),
        ("modl.path=x", "'modl'; did you mean model?"),
        ("max_steps=5", "'max_steps'; did you mean grpo.max_steps?"),
        ("lora.r=8", "'lora'; did you mean model.lora?"),
        ("level=easy", "'level'; did you mean tasks.0.level?"),
        ("model.lora.rnk=1", "unknown key in recipe: 'model.lora.rnk'"),
        ("model.lora.r=0", "model.lora.r=0: Input should be greater than or equal to 1"),
        ("engine=vlm", "unknown engine 'vlm'; did you mean vllm"),
        ("reward.kind=tsk", "unknown reward 'tsk'; did you mean task"),
        ("tasks.0.leve=easy", "did you mean tasks.0.level"),
        ("tasks.3.level=easy", "'3' is not one of the 1 entries"),
        ("task.num_hopps=2", "unknown knob 'num_hopps'; did you mean num_hops"),
        ("grpo.seed=1", "set here but by the recipe's own `seed`"),
        ("seed", "write it as key=value"),
        ("seed.x=1", "'seed' holds a value"),
        ("grpo=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_says_what_is_right(override: str, message: str) -> None:
    overrides = ["seed=1", override] if override.startswith("seed.") else [override]
    with pytest.raises(UserError, match=re.escape(message)):
        load_recipe(overrides=overrides)


def test_a_task_that_is_no_mapping_holds_no_setting() -> None:
    with pytest.raises(UserError, match="'0' holds a value, not a section"):
        load_recipe(overrides=["tasks=[link]", "tasks.0.level=easy"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"- a\n", "not a mapping"),
        (b"seed: [1\n", "line 2: not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"sed: 1\n", "recipe.yaml: 'sed'; did you mean seed"),
        (b"tasks: link\n", "recipe.yaml: tasks='link': write [{name: link}]"),
        (b"tasks: neighbor\n", "write a list"),
        (b"tasks: [link]\n", "tasks.0='link': write {name: link}"),
        (b"tasks: [{name: link, knobs: easy}]\n", "tasks.0.knobs='easy': keys and values belong here"),
        (b"tasks: {name: link}\n", "tasks={'name': 'link'}: a list belongs here"),
        (b"tasks: []\n", "tasks"),
        (b"tasks: [{name: link, weight: 0}]\n", "tasks.0.weight=0"),
        (b"grpo: 3\n", "grpo=3"),
        (b"model: tiny\n", "model='tiny': write {path: tiny}"),
        (b"reward: random\n", "reward='random': write {kind: random}"),
        (b"heldout: 300\n", "heldout=300: write {examples: 300}"),
    ],
)
def test_a_wrong_recipe_names_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        load_recipe(file, level="easy" if content == b"tasks: neighbor\n" else None)


def test_a_missing_recipe_and_an_unknown_task() -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml does not exist"):
        load_recipe(Path("nowhere.yaml"))
    with pytest.raises(UserError, match="unknown task 'lnk'; did you mean link"):
        load_recipe(tasks=["lnk"], overrides=["task.num_hops=1"])


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from ssl4rl.training.recipe_file import load_recipe; load_recipe(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def with_grpo(**grpo: object) -> Recipe:
    return Recipe(grpo={**QUICKSTART_GRPO, **grpo})


def test_batches_of_the_quickstart() -> None:
    plan, risks = check(Recipe())
    assert plan == BatchPlan(8, 256, 1, 1, 1, 140) and risks == []
    assert (plan.prompts_per_generation, plan.num_prompts, plan.save_multiple) == (32, 140 * 32, 1)


def test_the_papers_recipe_in_trl_units() -> None:
    for model in (None, "Qwen/Qwen2.5-7B-Instruct"):
        recipe = load_recipe(CONFIGS / "paper-graph.yaml", model=model)
        plan, risks = check(recipe, processes=8)
        # 512 prompts x 5 sampled at once; optimiser steps on 128 x 5.
        assert plan.prompts_per_generation == 512 and plan.generation_batch_size == 2560
        per_step = recipe.grpo["per_device_train_batch_size"] * 8 * recipe.grpo["gradient_accumulation_steps"]
        assert per_step == 640 and plan.save_multiple == 4 and risks == []
        assert (recipe.grpo["beta"], recipe.grpo["learning_rate"], recipe.grpo["loss_type"]) == (0.01, 1e-6, "bnpo")
        assert recipe.grpo["max_completion_length"] == 2048 and recipe.grpo["temperature"] == 1
        for processes in (1, 2, 4):
            check(recipe, processes)
    other = load_recipe(CONFIGS / "paper-graph.yaml", tasks=["neighbor"]).tasks
    assert [(entry.level, entry.dataset) for entry in other] == [("paper", "cora")]
    with pytest.raises(UserError, match=r"2560 is not divisible by the 70"):
        check(load_recipe(CONFIGS / "paper-graph.yaml"), processes=7)


@pytest.mark.parametrize(
    ("grpo", "message"),
    [
        ({"num_generations": 5}, "256 completions .* not divisible by groups of grpo.num_generations=5; 255 would"),
        ({"num_generations": 1}, "at least 2"),
        ({"num_generations": "8"}, "whole number"),
        ({"max_steps": -1}, "grpo.max_steps=-1: give a whole number of at least 1"),
        ({"generation_batch_size": 512, "steps_per_generation": 2}, "say the same"),
        ({"generation_batch_size": 300}, "not divisible by the 256"),
        ({"steps_per_generation": 4, "save_steps": 10}, "multiple of 4, such as 8"),
        ({"num_iterations": 3, "save_steps": 10}, "multiple of 3, such as 9"),
        ({"temperature": 0}, "above 0"),
        ({"learning_rate": "fast"}, "give a number"),
        ({"loss_type": "bnppo"}, "did you mean bnpo"),
        ({"max_completion_length": 0}, "at least 1"),
        ({"eval_on_start": True}, "grpo.eval_on_start=True: held-out scores come from"),
        ({"logging_strategy": "no"}, "grpo.logging_strategy=no: give steps; endless examples"),
        ({"save_strategy": "best"}, "grpo.save_strategy=best: give no or steps"),
        ({"remove_unused_columns": True}, "remove_unused_columns: examples are no columns"),
        ({"report_to": 3}, "grpo.report_to=3: give the name of a tracker"),
        ({"warmup_steps": None}, "grpo.warmup_steps=None: give a number"),
    ],
)
def test_impossible_settings_are_refused(grpo: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(with_grpo(**grpo))


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        (with_grpo(learning_rate=1e-2), "high for a tiny model"),
        (Recipe(model={"path": "x"}, grpo={**MODEL_GRPO, "learning_rate": 1e-4}), "high for full fine-tuning"),
        (Recipe(model={"path": "x", "lora": {}}, grpo=MODEL_GRPO), "low for LoRA"),
        (with_grpo(temperature=0.7), "temperature=0.7"),
        (with_grpo(num_generations=2), "num_generations=2"),
        (with_grpo(top_p=0.9), "top_p=0.9"),
    ],
)
def test_risky_settings_are_one_line_each(recipe: Recipe, word: str) -> None:
    _, risks = check(recipe)
    assert len(risks) == 1 and word in risks[0] and "\n" not in risks[0]


def test_weights_of_16_bits_that_would_hardly_change_are_a_line(model_folder: Path) -> None:
    def lines(dtype: str, **model: object) -> list[str]:
        small = {**QUICKSTART_GRPO, "max_completion_length": 8, "bf16": False}
        made = Recipe(model={"path": str(model_folder), "dtype": dtype, **model}, grpo=small, heldout={"examples": 4})
        return [line for line in prepare(made, toy_tasks()).notes if "rounded away" in line]

    assert len(lines("bfloat16")) == len(lines("float16")) == 1 and lines("bfloat16", lora={}) == []
    assert lines("float32") == lines("auto") == []  # this checkpoint is in float32


def test_groups_that_are_spread_over_processes_are_said_not_to_be_refilled() -> None:
    recipe = with_grpo(per_device_train_batch_size=12)
    _, risks = check(recipe, processes=2)
    assert risks == [
        "refill=4: flat groups are not refilled, because groups of 8 do not divide the 12 completions that each "
        "process samples"
    ]
    recipe.refill = 0
    assert check(recipe, processes=2)[1] == []


def test_real_models_have_a_guard_on_entropy_and_the_paper_none() -> None:
    laptop = load_recipe(CONFIGS / "laptop-graph.yaml", model="x")
    plan, risks = check(laptop)
    assert (plan.prompts_per_generation, plan.num_generations, plan.max_steps >= 60, risks) == (8, 8, True, [])
    assert laptop.tasks[0].knobs["reasoning"] is False and laptop.refill > 0
    for grpo in (laptop.grpo, MODEL_GRPO):
        assert grpo["use_adaptive_entropy"] and grpo["entropy_target"] == 0.1
    for name in ("paper-graph", "paper-vision"):
        paper = load_recipe(CONFIGS / f"{name}.yaml", side=name.removeprefix("paper-"))
        assert (paper.refill, paper.scale_updates, "use_adaptive_entropy" in paper.grpo) == (0, False, False)


def test_steps_of_a_generation() -> None:
    plan = plan_batches(with_grpo(steps_per_generation=4, gradient_accumulation_steps=2, num_iterations=2))
    assert list(plan.steps_of_generation(5)) == [5, 6, 7, 8] and plan.save_multiple == 4


def test_steps_of_generations_that_end_within_a_step() -> None:
    """Three micro-batches a generation, two a step: the first serves steps 1 and 2, the second steps 2 and 3."""
    for steps, accumulation, iterations in ((3, 2, 1), (2, 3, 1), (1, 4, 1), (3, 4, 2), (5, 3, 1), (4, 2, 2)):
        batches = {"steps_per_generation": steps, "gradient_accumulation_steps": accumulation}
        plan = plan_batches(with_grpo(**batches, num_iterations=iterations))
        served: dict[int, set[int]] = {}
        for batch in range(60 * accumulation):
            generation = batch // plan.generation_period
            sampled_in = generation * plan.generation_period // accumulation + 1
            served.setdefault(sampled_in, set()).add(batch // accumulation + 1)
        for sampled_in, used in list(served.items())[:40]:
            assert set(plan.steps_of_generation(sampled_in)) == used, (steps, accumulation, iterations)


def test_the_recipes_are_valid_yaml_mappings() -> None:
    assert all(isinstance(yaml.safe_load(file.read_text()), dict) for file in CONFIGS.glob("*.yaml"))


def test_packages_that_are_missing_are_found_before_the_model_is_loaded(monkeypatch) -> None:
    from ssl4rl.training import checks

    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    for setting, message in (
        ("grpo.report_to=wandb", "grpo.report_to=wandb needs the package wandb, which is not installed"),
        ("grpo.report_to=wanbd", "unknown grpo.report_to 'wanbd'; did you mean wandb"),
        *((f"grpo.report_to={each}", f"needs the package {each}") for each in ("trackio", "tensorboard")),
        ("grpo.report_to=[none, mlflow]", "grpo.report_to=mlflow needs the package mlflow"),
        ("model.attn_implementation=flash_attention_2", "needs the package flash_attn,"),
        ("model.attn_implementation=kernels-community/flash-attn", "needs the package kernels,"),
        ("grpo.save_only_model=true", "grpo.save_only_model: a run could not be resumed exactly"),
        ("grpo.sync_ref_model=true", "grpo.sync_ref_model: a run could not be resumed exactly"),
        ("grpo.ignore_data_skip=true", "grpo.ignore_data_skip: a run could not be resumed exactly"),
        ("grpo.eval_strategy=steps", "held-out scores come from the recipe's own `heldout`"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            checks.check(load_recipe(overrides=[setting]))
    checks.check(load_recipe())


@pytest.mark.parametrize("setting", ["refill=yes", "heldout.examples=true", "reward.format=on"])
def test_yes_is_no_number(setting: str) -> None:
    with pytest.raises(UserError, match="a number belongs here"):
        check(load_recipe(overrides=[setting]))
    assert load_recipe(overrides=["scale_updates=no", "max_broken=0"]).scale_updates is False
    with pytest.raises(UserError, match="a number belongs here"):
        ssl4rl.task("link", num_hops=True)


@pytest.mark.parametrize("setting", ["reward.kind=majority", "reward.kind=random", "difficulty=adaptive"])
def test_what_looks_at_whole_groups_needs_them_in_one_process(setting: str) -> None:
    sizes = ["grpo.num_generations=8", "grpo.per_device_train_batch_size=4", "grpo.save_strategy=no"]
    with pytest.raises(UserError, match=f"{setting} looks at whole groups, and groups of 8 do not divide the 4"):
        check(load_recipe(overrides=[setting, *sizes]), processes=2)
    check(load_recipe(overrides=["reward.kind=format", *sizes]), processes=2)
