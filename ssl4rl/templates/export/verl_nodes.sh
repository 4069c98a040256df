#!/usr/bin/env bash
# verl.sh on several nodes: run this on each of them, with this folder at the same path on all.
#
#   ./verl_nodes.sh RANK NNODES HEAD_ADDRESS MODEL [KEY=VALUE ...]
#
# Under SLURM, one task a node:
#   srun --ntasks-per-node=1 bash -c \
#     './verl_nodes.sh $SLURM_NODEID $SLURM_NNODES $(scontrol show hostnames $SLURM_NODELIST | head -n 1) MODEL'
# Rank 0 starts Ray, waits for the others and trains; when it is done, they stop. Ray 2.60 lets a node join that has the
# same ~/.ray/auth_token as rank 0, as it is with a shared home, or with RAY_AUTH_MODE=disabled on all.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
rank="${1:?usage: $0 RANK NNODES HEAD_ADDRESS MODEL}" nodes="${2:?number of nodes}" head="${3:?address of rank 0}"
shift 3
address="$head:${RAY_PORT:-6379}"

if ((rank > 0)); then
    until ray health-check --address "$address" >/dev/null 2>&1; do
        sleep 5
    done
    ray start --address "$address" --block || true  # it ends with the head, and then says so
    exit 0
fi

ray start --head --node-ip-address "$head" --port "${RAY_PORT:-6379}" --block &
trap 'kill %1; wait %1 || true' EXIT
${PYTHON:-python3} - "$address" "$nodes" <<'PYTHON'
import sys, time
import ray

while not ray.is_initialized():
    try:
        ray.init(address=sys.argv[1], log_to_driver=False)
    except ConnectionError:
        time.sleep(5)
while (alive := sum(node["Alive"] for node in ray.nodes())) < int(sys.argv[2]):
    print(f"{alive} of {sys.argv[2]} nodes", flush=True)
    time.sleep(5)
PYTHON
RAY_ADDRESS="$address" NNODES="$nodes" "$here/verl.sh" "$@"
