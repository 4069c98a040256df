"""verl's own configuration, dataset, reward manager and reward workers on an export; run with verl on the path.

    python verl_rewards.py CASES TOKENIZER PROCESSOR < the arguments that verl.sh gives

Prints how many replies each of them scored otherwise than CASES says.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import ray
import torch
from hydra import compose, initialize_config_module
from tensordict import TensorDict
from transformers import AutoProcessor, AutoTokenizer
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager
from verl.trainer.ppo.utils import create_rl_dataset
from verl.workers.reward_manager.naive import NaiveRewardManager

ON_RAY = 48


def batch_of(rows: list, replies: list, tokenizer) -> DataProto:
    """What verl's trainer hands to a reward manager: padded ids, and the dataset's other columns."""
    ids = [[*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id] for reply in replies]
    width = max(map(len, ids))
    responses = torch.full((len(ids), width), tokenizer.pad_token_id)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, each in enumerate(ids):
        responses[row, : len(each)] = torch.tensor(each)
        mask[row, : len(each)] = 1
    prompts = torch.full((len(ids), 1), tokenizer.eos_token_id)
    tensors = {"prompts": prompts, "responses": responses, "attention_mask": torch.cat([prompts * 0 + 1, mask], dim=1)}
    names = ("data_source", "reward_model", "extra_info", "raw_prompt")
    others = {}
    for name in names:
        others[name] = np.empty(len(rows), dtype=object)
        for place, row in enumerate(rows):
            others[name][place] = row[name]
    return DataProto(batch=TensorDict(tensors, batch_size=len(ids)), non_tensor_batch=others)


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    tokenizer, processor = AutoTokenizer.from_pretrained(sys.argv[2]), AutoProcessor.from_pretrained(sys.argv[3])
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=json.load(sys.stdin))
    config.actor_rollout_ref.model.path = sys.argv[2]
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    found = {"batch": [config.data.train_batch_size, actor.ppo_mini_batch_size, rollout.n]}
    found |= {"kl": [actor.use_kl_loss, actor.kl_loss_coef], "nodes": config.trainer.nnodes}
    dataset = create_rl_dataset(config.data.train_files, config.data, tokenizer, processor)
    found |= {"dataset": type(dataset).__name__, "rows": len(dataset)}
    rows = {index: dataset[index] for index in {case["index"] for case in cases}}
    found["images"] = sum(
        part["type"] == "image"
        for row in rows.values()
        for turn in row["raw_prompt"]
        if not isinstance(turn["content"], str)
        for part in turn["content"]
    )
    batch = batch_of([rows[case["index"]] for case in cases], [case["reply"] for case in cases], tokenizer)
    own = [case["score"] for case in cases]

    manager = NaiveRewardManager(tokenizer, 0, compute_score=get_custom_reward_fn(config))
    given = manager(batch).sum(dim=1).tolist()
    found["manager"] = [len(given), sum(abs(one - two) > 1e-6 for one, two in zip(given, own, strict=True))]

    loop = load_reward_manager(config, tokenizer)

    async def scored() -> list:
        return [(await loop.run_single(batch[place : place + 1]))["reward_score"] for place in range(len(cases))]

    given = asyncio.run(scored()) if loop.loop.is_running() else loop.loop.run_until_complete(scored())
    found["loop"] = [len(given), sum(one != two for one, two in zip(given, own, strict=True))]

    if "--ray" in sys.argv:
        ray.init(address="local", num_cpus=8, log_to_driver=False, include_dashboard=False)
        workers = [ray.remote(RewardLoopWorker).remote(config) for _ in range(2)]
        few = batch[:ON_RAY]
        halves = [worker.compute_score_batch.remote(few[place::2]) for place, worker in enumerate(workers)]
        given = [0.0] * len(few)
        for place, half in enumerate(ray.get(halves)):
            given[place::2] = [each["reward_score"] for each in half]
        found["ray"] = [len(given), sum(one != two for one, two in zip(given, own[: len(given)], strict=True))]
        ray.shutdown()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
