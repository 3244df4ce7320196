"""The text condition of a pipeline's folder: the embedding of the empty prompt, made once and stored.

Only the folder's files are needed, not the transformers library: the text encoder is the tower of MGLD-VSR
under other names.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.mgld.context import store_context
from quantvsr.models.mgld.files import COMPUTED_CONTEXT, CONTEXT_FILE, CONTEXT_KEY
from quantvsr.models.mgld.text import TextConfig, TextTower
from quantvsr.models.upscalers.parts import config_of, weights_of
from quantvsr.models.weights import read_json_object, read_tensors


def empty_prompt(folder: Path) -> Tensor:
    """The embedding, (1, tokens, C): stored in the folder, or computed from its text encoder and stored.

    Raises:
        BadModel: There is neither, or the text encoder is of a kind that is not built here.
    """
    for name in (CONTEXT_FILE, COMPUTED_CONTEXT):
        if (folder / name).is_file():
            return read_tensors(folder / name)[CONTEXT_KEY].float()
    tower = load_tower(folder)
    context = tower(torch.tensor([empty_tokens(folder, tower.config.tokens)]))
    store_context(context, folder)
    return context


def empty_tokens(folder: Path, length: int) -> list[int]:
    """Token numbers of the empty prompt: start, end, padding.

    Raises:
        BadModel: The tokenizer's files do not say which these are.
    """
    place = folder / "tokenizer"
    special = {
        **(read_json_object(place / "tokenizer_config.json") or {}),
        **(read_json_object(place / "special_tokens_map.json") or {}),
    }
    vocabulary = read_json_object(place / "vocab.json")
    if vocabulary is None:
        whole = read_json_object(place / "tokenizer.json") or {}
        vocabulary = (whole.get("model") or {}).get("vocab") or {}
    numbers = []
    for name in ("bos_token", "eos_token", "pad_token"):
        token = special.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        number = vocabulary.get(str(token))
        if not isinstance(number, int):
            raise BadModel(f"{place} does not say the number of its {name}; get the whole folder again.")
        numbers.append(number)
    start, end, padding = numbers
    return [start, end] + [padding] * (length - 2)


def load_tower(folder: Path) -> TextTower:
    """The text encoder of a folder.

    Raises:
        BadModel: It is missing or of another kind.
    """
    part = "text_encoder"
    config = config_of(folder, part)
    if config.get("hidden_act", "quick_gelu") != "gelu":
        raise BadModel(f"{folder / part} is no text encoder of Stable Diffusion 2; get the right folder.")
    try:
        sizes = TextConfig(
            width=config["hidden_size"],
            heads=config["num_attention_heads"],
            # The tower leaves out its last block, which this kind of file does not have.
            layers=config["num_hidden_layers"] + 1,
            hidden=config["intermediate_size"],
            tokens=config.get("max_position_embeddings", 77),
            vocabulary=config.get("vocab_size", 49408),
        )
    except KeyError as error:
        raise BadModel(f"{folder / part} does not say its {error.args[0]}; get the folder again.") from None
    with torch.device("meta"):
        tower = TextTower(sizes)
    tower.transformer.resblocks[-1] = nn.Identity()
    del tower.text_projection, tower.logit_scale
    file = weights_of(folder, part)
    try:
        state = _renamed(read_tensors(file), sizes.layers - 1)
        tower.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadModel(f"{file} does not fit its config.json ({reason}); get the folder again.") from error
    return tower.eval().requires_grad_(False)


def _renamed(found: dict[str, Tensor], layers: int) -> dict[str, Any]:
    start = "text_model."
    given = {name.removeprefix(start): value.float() for name, value in found.items()}
    state = {
        "token_embedding.weight": given["embeddings.token_embedding.weight"],
        "positional_embedding": given["embeddings.position_embedding.weight"],
        "ln_final.weight": given["final_layer_norm.weight"],
        "ln_final.bias": given["final_layer_norm.bias"],
    }
    same = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
            "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    for index in range(layers):
        old, new = f"encoder.layers.{index}", f"transformer.resblocks.{index}"
        for kind in ("weight", "bias"):
            for theirs, ours in same.items():
                state[f"{new}.{ours}.{kind}"] = given[f"{old}.{theirs}.{kind}"]
            three = [given[f"{old}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            state[f"{new}.attn.in_proj_{kind}"] = torch.cat(three)
    return state
