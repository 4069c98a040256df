#!/usr/bin/env bash
# GRPO with TRL 1.16, with the settings of the SSL4RL paper for one node of 8 GPUs of 80 GB.
#
#   ./trl.sh MODEL OUTPUT [--OPTION VALUE ...]
#
# What follows OUTPUT goes to TRL as it is. GPUS is the number of processes.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
model="${1:?usage: $0 MODEL OUTPUT [--OPTION VALUE ...]}" output="${2:?usage: $0 MODEL OUTPUT}"
[[ "$output" = /* ]] || output="$PWD/$output"
[[ -e "$model" ]] && model="$(cd "$model" && pwd)"
shift 2

# TRL imports the reward from the folder that it runs in. It counts completions: 512 x 5 = 2560 are sampled at once,
# optimiser steps take 128 x 5 = 640 of them, which is 10 x 8 accumulation steps x 8 GPUs.
cd "$here"
exec ${ACCELERATE:-accelerate launch --num_processes "${GPUS:-8}"} -m trl.scripts.grpo \
    --model_name_or_path "$model" \
    --output_dir "$output" \
    --dataset_name "$here" \
    --reward_funcs ssl4rl_scorer.trl_reward \
    --num_generations 5 \
    --generation_batch_size 2560 \
    --per_device_train_batch_size 10 \
    --gradient_accumulation_steps 8 \
    --max_completion_length 2048 \
    --temperature 1.0 \
    --beta 0.01 \
    --loss_type bnpo \
    --learning_rate 1e-6 \
    --lr_scheduler_type constant \
    --dtype float32 \
    --bf16 true \
    --gradient_checkpointing true \
    --use_vllm true \
    --vllm_mode colocate \
    --report_to none \
    --logging_steps 1 \
    "$@"
