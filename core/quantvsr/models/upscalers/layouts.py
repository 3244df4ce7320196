"""What the dimensions of a layer's input mean in networks of diffusers."""

from torch import nn

# Layers that see one vector per frame or per run.
_VECTORS = ("time_embedding", "time_emb_proj", "class_embedding", "add_embedding")
_TOKENS = (".to_q", ".to_k", ".to_v", ".to_out", ".ff.", ".proj_in", ".proj_out")


def layout_of(name: str, layer: nn.Module) -> str:
    """`image`, `tokens` or `vector`; see `VSRAdapter.layout`."""
    if not isinstance(layer, nn.Linear) and layer.__class__.__name__.startswith("Conv"):
        return "image"
    if any(part in name for part in _VECTORS):
        return "vector"
    return "tokens" if any(part in f".{name}." for part in _TOKENS) else "image"
