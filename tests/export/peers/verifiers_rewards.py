"""verifiers' own loader, views and scoring on an exported taskset; run with verifiers and the package on the path.

    python verifiers_rewards.py NAME CASES

Prints how many replies were scored otherwise than CASES says.
"""

import asyncio
import json
import sys
from pathlib import Path

import verifiers.v1 as vf
from verifiers.v1.graph import MessageNode
from verifiers.v1.trace import AgentInfo, TraceTask
from verifiers.v1.types import AssistantMessage
from verifiers.v1.utils.loaders import load_taskset, taskset_config_type


async def reward(task: vf.Task, reply: str) -> float:
    trace = vf.Trace(
        task=TraceTask(type=type(task).__name__, data=task.data),
        agent=AgentInfo.model_construct(),
        nodes=[MessageNode(message=AssistantMessage(content=reply), sampled=True)],
    )
    await task.score(trace)
    return sum(each.value for each in trace.rewards.values())


def main() -> None:
    name, cases = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    taskset = load_taskset(taskset_config_type(name)(id=name))
    tasks = list(taskset.take(1 + max(case["index"] for case in cases)))
    given = [asyncio.run(reward(tasks[case["index"]], case["reply"])) for case in cases]
    differ = sum(one != case["score"] for one, case in zip(given, cases, strict=True))
    contents = [turn.content for task in tasks for turn in task.data.prompt]
    images = sum(part.type == "image_url" for content in contents if isinstance(content, list) for part in content)
    print(json.dumps({"bounded": taskset.bounded, "images": images, "rewards": [len(given), differ]}))


if __name__ == "__main__":
    main()
