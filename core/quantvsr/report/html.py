"""HTML as values: text is escaped once, markup is not escaped twice."""

from html import escape


class Html(str):
    """Markup: put into a page as it is."""

    __slots__ = ()


Part = str | int | float | None


def tag(name: str, *children: Part, **attributes: Part) -> Html:
    """An element.

    Args:
        name: Of the element.
        children: Its content: `Html` as it is, everything else as text; None is nothing.
        attributes: `class_` becomes `class`, other underscores dashes; None leaves the attribute out.
    """
    head = f"<{name}{_attributes(attributes)}>"
    if name in ("img", "br", "meta", "input"):
        return Html(head)
    return Html(f"{head}{join(*children)}</{name}>")


def join(*children: Part) -> Html:
    """Parts one after the other."""
    return Html("".join(_text(child) for child in children))


def _attributes(attributes: dict[str, Part]) -> str:
    pairs = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()]
    return "".join(f' {key}="{escape(str(value))}"' for key, value in pairs if value is not None)


def _text(child: Part) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Html) else escape(str(child), quote=False)
