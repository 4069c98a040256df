"""OpenRLHF's own options, dataset and the call of its executor for rewards; run with OpenRLHF on the path.

    python openrlhf_rewards.py CASES TOKENIZER PROCESSOR < the arguments that openrlhf.sh gives

Prints how many replies were scored otherwise than CASES says.
"""

import argparse
import ast
import asyncio
import json
import os
import sys
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from openrlhf.datasets.prompts_dataset import PromptDataset
from openrlhf.datasets.utils import blending_datasets
from openrlhf.utils.agent import SingleTurnAgentExecutor
from openrlhf.utils.vlm_utils import process_prompt_with_images
from transformers import AutoProcessor, AutoTokenizer


def parsed(arguments: list) -> SimpleNamespace:
    """The arguments as OpenRLHF's command reads and checks them; its trainers' own imports need a GPU's packages."""
    path = Path(find_spec("openrlhf").origin).parent / "cli" / "train_ppo_ray.py"
    block = next(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If))
    found = []
    names = {"argparse": argparse, "os": os, "datetime": datetime, "train": found.append}
    own, sys.argv = sys.argv, ["train_ppo_ray", *arguments]
    exec(compile(ast.Module(block.body, []), str(path), "exec"), names)
    sys.argv = own
    return found[0]


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    tokenizer, processor = AutoTokenizer.from_pretrained(sys.argv[2]), AutoProcessor.from_pretrained(sys.argv[3])
    options = parsed(json.load(sys.stdin))
    strategy = SimpleNamespace(print=print, is_rank_0=lambda: False, args=options)
    dataset = PromptDataset(blending_datasets(options.data.prompt_dataset, strategy=strategy), processor, strategy)
    executor = SingleTurnAgentExecutor(options.reward.remote_url)
    eos = tokenizer.decode([tokenizer.eos_token_id])
    differ = images = 0
    for case in cases:
        _, prompt, label, shown = dataset[case["index"]]
        # What the executor does: it decodes prompt and reply together, special tokens included.
        if shown:
            images += len(shown)
            ids, _, _ = process_prompt_with_images(processor, prompt, shown)
            written = processor.tokenizer.decode(ids, skip_special_tokens=False)
        else:
            ids = tokenizer(text=prompt, add_special_tokens=False)["input_ids"]
            written = tokenizer.decode(ids, skip_special_tokens=False)
        query = written + case["reply"] + eos
        answer = asyncio.run(executor._fetch_rewards_via_func([query], [prompt], [label]))
        differ += answer[0]["rewards"] != case["score"]
    print(
        json.dumps(
            {
                "rows": len(dataset),
                "images": images,
                "rewards": [len(cases), differ],
                "batch": [options.rollout.batch_size, options.train.batch_size, options.rollout.n_samples_per_prompt],
                "kl": [options.algo.kl.use_loss, options.algo.kl.init_coef, options.algo.kl.estimator],
                "most_images": options.data.max_images_per_prompt,
            }
        )
    )


if __name__ == "__main__":
    main()
