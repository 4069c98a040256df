#!/usr/bin/env bash
# GRPO with verl 0.9 on Ray, with the settings of the SSL4RL paper for one node of 8 GPUs of 80 GB.
#
#   VAL=../val-export ./verl.sh Qwen/Qwen2.5-VL-3B-Instruct [KEY=VALUE ...]
#
# VAL is an export of split val (optional), NNODES and GPUS are the size of the cluster. For several nodes see
# verl_nodes.sh. What follows the model goes to verl as it is.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
model="${1:?usage: $0 MODEL [KEY=VALUE ...]}"
shift
val="$(cd "${VAL:-$here}" && pwd)"

data_of() {  # what verl reads of an export, as a list of hydra's
    @DATA@
}

validation=(trainer.val_before_train=False trainer.test_freq=-1)
if [[ "$val" != "$here" ]]; then
    validation=(trainer.val_before_train=True trainer.test_freq="${TEST_FREQ:-10}")
fi

# "Batch 512, mini-batch 128, group size 5": prompts, as verl counts them too. filter_overlong_prompts=True would drop
# every prompt with images; truncation=error stops at a prompt that does not fit.
exec ${PYTHON:-python3} -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo \
    algorithm.use_kl_in_reward=False \
    data.train_files="$(data_of "$here")" \
    data.val_files="$(data_of "$val")" \
@CUSTOM@    data.train_batch_size=512 \
    data.max_prompt_length="${MAX_PROMPT:-@MAX_PROMPT@}" \
    data.max_response_length=2048 \
    data.filter_overlong_prompts=False \
    data.truncation=error \
    reward.custom_reward_function.path="$here/ssl4rl_scorer.py" \
    reward.custom_reward_function.name=compute_score \
    actor_rollout_ref.model.path="$model" \
    actor_rollout_ref.model.enable_gradient_checkpointing=True \
    actor_rollout_ref.actor.optim.lr=1e-6 \
    actor_rollout_ref.actor.ppo_mini_batch_size=128 \
    actor_rollout_ref.actor.use_dynamic_bsz=True \
    actor_rollout_ref.actor.use_kl_loss=True \
    actor_rollout_ref.actor.kl_loss_coef=0.01 \
    actor_rollout_ref.actor.kl_loss_type=low_var_kl \
    actor_rollout_ref.actor.entropy_coeff=0 \
    actor_rollout_ref.actor.loss_agg_mode=token-mean \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.n=5 \
    actor_rollout_ref.rollout.temperature=1.0 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.6 \
    actor_rollout_ref.rollout.tensor_model_parallel_size="${TENSOR_PARALLEL:-1}" \
    trainer.nnodes="${NNODES:-1}" \
    trainer.n_gpus_per_node="${GPUS:-8}" \
    trainer.logger='["console"]' \
    trainer.project_name=ssl4rl \
    trainer.experiment_name="${NAME:-$(basename "$here")}" \
    trainer.total_epochs="${EPOCHS:-1}" \
    trainer.save_freq="${SAVE_FREQ:-20}" \
    "${validation[@]}" \
    "$@"
