"""The constant text condition."""

import torch
from torch import Tensor

from quantvsr.models.mgld.text import END, PADDING, START, TextConfig, TextTower

CONFIG = TextConfig(width=16, heads=2, layers=3, hidden=24, tokens=7)


def small_tower() -> TextTower:
    torch.manual_seed(0)
    tower = TextTower(CONFIG).double().eval()
    for value in tower.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return tower


def by_hand(tower: TextTower, tokens: list[int]) -> Tensor:
    """The same from the formulas, one position and one head at a time."""
    weights = dict(tower.named_parameters())

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[name + ".weight"] + weights[name + ".bias"]

    u = weights["token_embedding.weight"][tokens] + weights["positional_embedding"]
    size = CONFIG.width // CONFIG.heads
    for index in range(CONFIG.layers - 1):
        block = f"transformer.resblocks.{index}"
        h = norm(u, block + ".ln_1")
        projected = h @ weights[block + ".attn.in_proj_weight"].T + weights[block + ".attn.in_proj_bias"]
        q, k, v = projected.split(CONFIG.width, dim=-1)
        mixed = torch.zeros_like(u)
        for head in range(CONFIG.heads):
            part = slice(head * size, (head + 1) * size)
            for at in range(len(tokens)):
                scores = (k[: at + 1, part] @ q[at, part]) / size**0.5
                mixed[at, part] = scores.softmax(0) @ v[: at + 1, part]
        u = u + mixed @ weights[block + ".attn.out_proj.weight"].T + weights[block + ".attn.out_proj.bias"]
        h = norm(u, block + ".ln_2") @ weights[block + ".mlp.c_fc.weight"].T
        h = h + weights[block + ".mlp.c_fc.bias"]
        h = h * 0.5 * (1 + torch.erf(h / 2**0.5))
        u = u + h @ weights[block + ".mlp.c_proj.weight"].T + weights[block + ".mlp.c_proj.bias"]
    return norm(u, "ln_final")


def test_the_empty_prompt_from_the_formulas() -> None:
    tower = small_tower()
    expected = by_hand(tower, [START, END] + [PADDING] * (CONFIG.tokens - 2))
    with torch.no_grad():
        assert torch.allclose(tower.empty_prompt()[0], expected, rtol=1e-10, atol=1e-12)


def test_the_last_block_and_the_projection_take_no_part() -> None:
    tower = small_tower()
    before = tower.empty_prompt()
    for name, value in tower.named_parameters():
        if ".resblocks.2." in name or name in ("text_projection", "logit_scale"):
            value.data.fill_(float("nan"))
    assert torch.equal(tower.empty_prompt(), before)
