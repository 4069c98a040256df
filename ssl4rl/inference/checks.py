"""Whether a model can do what conversations and replies ask of it, found out before anything runs.

Everything here but :func:`check_output` needs no weights in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ssl4rl.errors import UserError
from ssl4rl.inference.messages import TAGS, Messages
from ssl4rl.inference.tokens import Encoder

if TYPE_CHECKING:
    from ssl4rl.inference.model import ModelFiles

MARK = "tangerine"
"""A word to look for in what a template writes."""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")

LISTED = 3
"""Weights that are named where more are wrong."""


@contextmanager
def one_line(model: str) -> Iterator[None]:
    """Turns what transformers, PEFT and safetensors raise while they load a model into one line.

    Raises:
        UserError: naming the model.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise UserError(
            f"cannot load model {model!r}: a file of its weights is damaged or was cut off ({_first_line(error)}); "
            "copy or download it again"
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(
                f"model {model!r} needs code of its own (trust_remote_code), which is never run; "
                "use a model of a kind that transformers has"
            ) from error
        raise UserError(f"cannot load model {model!r}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def check_form(files: ModelFiles) -> None:
    """Checks the chat template and the tokenizer of a model.

    Raises:
        UserError: for a template that fails, writes no text or no image, or lacks a variable; or for a tokenizer with
            more tokens than the model.
    """
    template = str(files.processor.chat_template)
    for name in files.encoder.settings:
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise UserError(f"chat_template_kwargs: the chat template of model {files.name!r} has no {name!r}")
    asked: Messages = [{"role": "user", "content": MARK}]
    written = _written(files, asked)
    if MARK not in written:
        raise UserError(f"the chat template of model {files.name!r} does not write what the user says; use another")
    if files.reads_images:
        _check_image(files, written)
    largest = max(files.tokenizer.get_vocab().values())
    size = files.config.get_text_config().vocab_size
    if largest >= size:
        raise UserError(
            f"the tokenizer of model {files.name!r} has token {largest}, but the model only {size} embeddings (0 to "
            f"{size - 1}): they do not belong together; save the model with its own tokenizer"
        )


def _written(files: ModelFiles, conversation: Messages) -> str:
    try:
        return files.encoder.text(conversation)
    # A template is a program of its author, and raises what it likes.
    except Exception as error:
        raise UserError(f"the chat template of model {files.name!r} fails: {_first_line(error)}") from error


def _check_image(files: ModelFiles, without: str) -> None:
    """Refuses a vision-language model whose prompts would hold no image."""
    from PIL import Image

    parts = [{"type": "image", "image": Image.new("RGB", (224, 224), "red")}, {"type": "text", "text": MARK}]
    shown: Messages = [{"role": "user", "content": parts}]
    if _written(files, shown) == without:
        raise UserError(
            f"the chat template of model {files.name!r} writes no placeholder for an image; use the template that "
            "its processor came with"
        )
    try:
        encoded = files.encoder.encode([shown])
    except Exception as error:
        raise UserError(f"the processor of model {files.name!r} cannot read an image: {_first_line(error)}") from error
    image_token = getattr(files.processor, "image_token_id", None)
    if image_token is not None and image_token not in encoded.ids[0]:
        raise UserError(f"the processor of model {files.name!r} puts no image into a prompt; check its files")


def end_of_turn(encoder: Encoder) -> int | None:
    """The token that the template writes after an answer; None if it is no token of its own."""
    turns: Messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
    try:
        written = encoder.text(turns, reply_follows=False)
    except Exception:  # a template need not take answers, which only few-shot turns need
        return None
    _, mark, after = written.rpartition(MARK)
    for token in encoder.tokenize(after) if mark else ():
        added = encoder.tokenizer.added_tokens_decoder.get(token)
        if added is not None:
            return None if added.content in TAGS else token
        if encoder.tokenizer.decode([token]).strip():
            return None
    return None


def check_weights(files: ModelFiles, *, by_transformers: bool = True) -> int | None:
    """Checks that all weights are there, whole and of the right shapes, without reading them, and counts them.

    None stands for quantised weights, which are not counted.

    Where another program loads the model, it brings what quantised weights need, so those are not checked.

    Raises:
        UserError: naming the weights, the file or the package.
    """
    quantised = getattr(files.config, "quantization_config", None)
    if quantised is not None:
        if by_transformers:
            _check_quantisation(files, quantised)
        return None
    with one_line(files.name):
        # On this device weights are compared by name and shape only.
        model, report = auto_class(files).from_pretrained(
            files.path,
            device_map="meta",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
        )
    if report["missing_keys"]:
        raise UserError(f"model {files.name!r} lacks weights: {_some(sorted(report['missing_keys']))}")
    if report["mismatched_keys"]:
        wrong = [f"{key} is {list(found)} instead of {list(asked)}" for key, found, asked in report["mismatched_keys"]]
        raise UserError(f"weights of model {files.name!r} do not fit its config.json: {_some(sorted(wrong))}")
    return int(model.num_parameters())


def _some(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _check_quantisation(files: ModelFiles, quantised: Any) -> None:
    from transformers.quantizers.auto import AutoHfQuantizer

    try:
        quantizer = AutoHfQuantizer.from_config(quantised, pre_quantized=True)
        quantizer.validate_environment(device_map=None, weights_only=True, dtype=None)
    except (ImportError, ValueError, RuntimeError) as error:
        raise UserError(f"the weights of model {files.name!r} are quantised: {_first_line(error)}") from error


def make_savable(model: Any) -> None:
    """Corrects generation settings with which transformers reads a model and does not save it.

    Values for sampling without ``do_sample``, as older models have them, mean that it samples; where others contradict
    each other, only the tokens that begin, end and pad are kept.
    """
    from transformers import GenerationConfig

    config = model.generation_config
    for change in (
        {"do_sample": True},
        vars(GenerationConfig(**{name: getattr(config, name) for name in TOKENS})),
    ):
        try:
            config.validate(strict=True)
        except ValueError:
            vars(config).update(change)


def auto_class(files: ModelFiles) -> Any:
    """The class of transformers that loads the model."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if files.reads_images else AutoModelForCausalLM


def check_output(files: ModelFiles, model: Any) -> None:
    """Runs a loaded model on a short prompt.

    Raises:
        UserError: if its output is not a number.
    """
    import torch

    ids = files.prompt_ids([{"role": "user", "content": MARK}])
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1]
    model.train(training)
    # Unused tokens may have a logit of minus infinity; the probabilities are numbers all the same.
    if logits.float().log_softmax(-1).isnan().any():
        raise not_a_number(files, str(model.dtype).removeprefix("torch."))


def not_a_number(files: ModelFiles, dtype: str) -> UserError:
    """The error for a model whose output is NaN."""
    remedy = "its weights are damaged"
    if dtype == "float16":
        remedy = "its numbers may be too large for float16; use bfloat16 or float32"
    return UserError(f"the output of model {files.name!r} is not a number (NaN) in {dtype}: {remedy}")
