"""What sort of layer a name tells of. Imports nothing."""


def block_kind(name: str) -> str:
    """What sort of layer a dotted name tells of: its last word that is no number or plain `conv`."""
    words = [word for word in name.split(".") if not word.isdigit()]
    telling = [word for word in words if word not in ("conv", "proj")] or words
    return telling[-1].rstrip("0123456789_") if telling else name
