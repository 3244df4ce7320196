"""How numbers are told to people."""


def counted(count: int, thing: str) -> str:
    """A number of things: "1 frame", "2 frames"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def megabytes(count: int) -> str:
    """A number of bytes: "6.94 MB"."""
    return f"{count / 1e6:.2f} MB"
