#!/usr/bin/env bash
# verl.sh on several nodes: run this on each of them, with this folder at the same path on all.
#
#   ./verl_nodes.sh RANK NNODES HEAD_ADDRESS MODEL [KEY=VALUE ...]
#
# Under SLURM:  srun --ntasks-per-node=1 bash -c \
#   './verl_nodes.sh $SLURM_NODEID $SLURM_NNODES '"$(scontrol show hostnames | head -n 1)"' MODEL'
# Rank 0 starts Ray, waits for the others and trains; they stop when it is done.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
rank="${1:?usage: $0 RANK NNODES HEAD_ADDRESS MODEL}" nodes="${2:?number of nodes}" head="${3:?address of rank 0}"
shift 3
port="${RAY_PORT:-6379}"

if ((rank > 0)); then
    until ray start --address "$head:$port" --block; do  # until the head is there; --block ends with it
        sleep 5
    done
    exit 0
fi

ray start --head --port "$port"
trap 'ray stop' EXIT
${PYTHON:-python3} - "$nodes" <<'PYTHON'
import sys, time
import ray

ray.init(address="auto", log_to_driver=False)
while (alive := sum(node["Alive"] for node in ray.nodes())) < int(sys.argv[1]):
    print(f"{alive} of {sys.argv[1]} nodes", flush=True)
    time.sleep(5)
PYTHON
RAY_ADDRESS="$head:$port" NNODES="$nodes" "$here/verl.sh" "$@"
