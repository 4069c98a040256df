"""Recipes come from others, too: none runs code, uploads anything, or writes outside the run's folder."""

import pytest

from ssl4rl.errors import UserError
from ssl4rl.training.recipe_file import ELSEWHERE, REFUSED, grpo_fields, load_recipe, recipe_schema


@pytest.mark.parametrize("field", [*REFUSED, "output_dir", "resume_from_checkpoint"])
def test_fields_that_reach_outside_are_refused(tmp_path, field):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"tasks: [{{name: link}}]\ngrpo: {{{field}: ../outside}}\n")
    with pytest.raises(UserError, match=f"grpo.{field}") as raised:
        load_recipe(recipe)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=f"grpo.{field}"):
        load_recipe(None, overrides=[f"grpo.{field}=true"])
    assert field not in recipe_schema()["properties"]["grpo"]["properties"]


def test_every_field_of_trl_that_uploads_or_runs_code_is_known():
    """A new version of TRL may add some: this fails until somebody has looked at them."""
    words = ("hub", "trust", "_dir", "_space_id", "_bucket_id", "_url", "token")
    known = {
        *REFUSED,
        *ELSEWHERE,
        "vllm_server_base_url",
        "hub_revision",
        "hub_private_repo",
        "average_tokens_across_devices",
    }
    known |= {"include_num_input_tokens_seen", "include_tokens_per_second", "top_entropy_quantile"}
    found = {name for name in grpo_fields() if any(word in name for word in words)}
    assert {name for name in found - known if "tokens" not in name} == set()


@pytest.mark.parametrize(
    "text",
    [
        "tasks: !!python/object/apply:os.system ['true']",
        "tasks: !!python/module:os {}",
        "a: &a [*a, *a]\ntasks: *a",
        "- 1",
    ],
)
def test_a_recipe_is_plain_data(tmp_path, text):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(UserError) as raised:
        load_recipe(recipe)
    assert len(str(raised.value)) < 1_000 and "\n" not in str(raised.value)
