#!/usr/bin/env bash
# GRPO with OpenRLHF 0.11 on Ray, with the settings of the SSL4RL paper for one node of 8 GPUs of 80 GB.
#
#   ray start --head && ./openrlhf.sh MODEL OUTPUT [--OPTION VALUE ...]
#
# What follows OUTPUT goes to OpenRLHF as it is.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
model="${1:?usage: $0 MODEL OUTPUT [--OPTION VALUE ...]}" output="${2:?usage: $0 MODEL OUTPUT}"
shift 2
gpus="${GPUS:-8}"

# It counts samples: a training batch of 640 is 128 prompts of 5 replies.
exec ${PYTHON:-python3} -m openrlhf.cli.train_ppo_ray \
    --actor.model_name_or_path "$model" \
    --ckpt.output_dir "$output" \
    --data.prompt_dataset "$here" \
    --data.input_key prompt \
    --data.label_key ground_truth \
    --data.image_key images \
    --data.max_images_per_prompt @MAX_IMAGES@ \
    --data.apply_chat_template \
    --data.max_len "$((${MAX_PROMPT:-@MAX_PROMPT@} + 2048))" \
    --rollout.max_new_tokens 2048 \
    --reward.remote_url "$here/ssl4rl_scorer.py" \
    --algo.advantage.estimator group_norm \
    --rollout.batch_size 512 \
    --rollout.n_samples_per_prompt 5 \
    --rollout.temperature 1.0 \
    --train.batch_size 640 \
    --train.num_episodes "${EPOCHS:-1}" \
    --algo.kl.init_coef 0.01 \
    --algo.kl.use_loss \
    --algo.kl.estimator k3 \
    --actor.adam.lr 1e-6 \
    --actor.lr_scheduler constant \
    --actor.gradient_checkpointing_enable \
    --ds.zero_stage 3 \
    --actor.num_nodes 1 --actor.num_gpus_per_node "$gpus" \
    --ref.num_nodes 1 --ref.num_gpus_per_node "$gpus" \
    --vllm.num_engines "$gpus" --vllm.tensor_parallel_size 1 --vllm.gpu_memory_utilization 0.6 \
    --train.colocate_all --vllm.enable_sleep --ds.enable_sleep \
    "$@"
