import json
import os
import sys

import pytest

from ssl4rl.environment import environment
from ssl4rl.errors import UserError
from ssl4rl.lock import LOCK, locked
from ssl4rl.redact import check_address, without_secrets

KEY = "hf_" + "aBcDeFgH" * 4


@pytest.mark.parametrize(
    "command",
    [
        f"eval --model owner/name --hf-token {KEY}",
        f"eval --hf-token={KEY}",
        f"eval --set reward.api_key={KEY}",
        f"eval --set reward.apikey={KEY} --limit 3",
        f"eval --engine https://user:{KEY}@host/v1",
        f"eval --engine https://host/v1?token={KEY}",
        f"eval --engine https://host/v1?a=1&access_key={KEY}&b=2",
        f"eval --model {KEY}",
        f"eval --set note=x{KEY}x",
        f"eval HF_TOKEN={KEY}",
        f"eval --set x.password={KEY}",
    ],
)
def test_no_key_in_a_command_is_written_down(command, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ssl4rl", *command.split(" ")])
    written = json.dumps(environment())
    assert KEY not in written and "***" in written and '"ssl4rl", "eval"' in written
    with locked(tmp_path):
        assert KEY not in (tmp_path / LOCK).read_text()


def test_values_of_variables_that_are_called_like_keys_are_not_written_down(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "plainwords-4711")
    monkeypatch.setenv("OPENAI_API_KEY", "another-word-0815")
    monkeypatch.setattr(sys, "argv", ["ssl4rl", "eval", "--engine", "http://h/plainwords-4711/v1", "another-word-0815"])
    written = json.dumps(environment())
    assert "plainwords-4711" not in written and "another-word-0815" not in written
    values = {value for name, value in os.environ.items() if "TOKEN" in name or "KEY" in name}
    assert not any(value in written for value in values if len(value) >= 8)


def test_what_is_no_secret_stays():
    command = [
        "ssl4rl",
        "graph",
        "train",
        "--set",
        "task.text_budget=120",
        "--set",
        "grpo.max_steps=5",
        "--max-time",
        "3h",
    ]
    assert without_secrets(command) == command
    assert without_secrets(["--engine", "http://localhost:8000/v1"]) == ["--engine", "http://localhost:8000/v1"]


@pytest.mark.parametrize("address", ["https://user:pw@host/v1", "https://key@host/v1", "https://host/v1?key=abc"])
def test_an_address_with_a_key_in_it_is_refused(address):
    with pytest.raises(UserError, match="OPENAI_API_KEY") as raised:
        check_address(address)
    assert not any(word in str(raised.value) for word in ("pw", "key@", "abc"))
    check_address("https://host:8000/v1")
