"""What can be taken hold of on the canvas, and what dragging it makes of the view."""

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QPointF, Qt

from quantvsr_gui.pages.compare.line import Line
from quantvsr_gui.pages.compare.place import Place
from quantvsr_gui.pages.compare.state import View

_GRAB = 8  # pixels around a line in which it can be taken hold of
_END = 12  # the same around its ends

CURSORS = {
    "wipe": Qt.CursorShape.SplitHCursor,
    "begin": Qt.CursorShape.SizeAllCursor,
    "end": Qt.CursorShape.SizeAllCursor,
    "line": Qt.CursorShape.OpenHandCursor,
    "": Qt.CursorShape.CrossCursor,
}


def grip_at(where: QPointF, view: View, places: Mapping[int, Place]) -> str:
    """What is under the pointer: "wipe", the "begin" or the "end" of the slice's line, that "line", or ""."""
    place = place_at(where, places)
    if place is None:
        return ""
    whole = place.target()
    if view.sliced:
        begin, end = ends(view.line, place)
        near = {"begin": _apart(where, begin), "end": _apart(where, end)}
        closest = min(near, key=lambda each: near[each])
        if near[closest] < _END:
            return closest
        if _apart(where, _nearest(where, begin, end)) < _GRAB:
            return "line"
    if view.mode == "wipe" and len(places) == 2:
        at = whole.left() + view.wipe * whole.width()
        if abs(where.x() - min(max(at, place.box.left()), place.box.right())) < _GRAB:
            return "wipe"
    return ""


def dragged(
    grip: str, view: View, place: Place, before: QPointF, where: QPointF, *, snap: bool = False
) -> View:
    """The view after the pointer went from `before` to `where`.

    Args:
        grip: What is held; "" moves the picture.
        view: When it was taken hold of.
        place: Of the picture on which it was taken hold of.
        before: Where the pointer was then.
        where: Where it is now.
        snap: Bring the line to a multiple of 45 degrees.
    """
    whole = place.target()
    dx, dy = (where.x() - before.x()) / whole.width(), (where.y() - before.y()) / whole.height()
    x, y = place.at(where)
    if grip == "wipe":
        return replace(view, wipe=min(max(x, 0.0), 1.0))
    if grip == "line":
        return replace(view, line=view.line.moved(dx, dy))
    if grip in ("begin", "end"):
        end = int(grip == "end")
        line = view.line.with_end(end, x, y)
        return replace(view, line=line.snapped(end, place.width, place.height) if snap else line)
    # What is fitted has no place of its own; moving it begins at the size it has.
    held = view if view.zoom is not None else replace(view, zoom=place.zoom)
    return held.moved(-dx, -dy)


def place_at(where: QPointF, places: Mapping[int, Place]) -> Place | None:
    """The place in whose box a point of the canvas lies."""
    return next((place for place in places.values() if place.box.contains(where.toPoint())), None)


def ends(line: Line, place: Place) -> tuple[QPointF, QPointF]:
    """Where a line begins and ends on the canvas."""
    whole = place.target()
    return (
        QPointF(whole.left() + line.x0 * whole.width(), whole.top() + line.y0 * whole.height()),
        QPointF(whole.left() + line.x1 * whole.width(), whole.top() + line.y1 * whole.height()),
    )


def _apart(a: QPointF, b: QPointF) -> float:
    return ((a.x() - b.x()) ** 2 + (a.y() - b.y()) ** 2) ** 0.5


def _nearest(where: QPointF, begin: QPointF, end: QPointF) -> QPointF:
    """The point of a line that is closest to another point."""
    along = end - begin
    length = along.x() ** 2 + along.y() ** 2
    if not length:
        return begin
    part = QPointF.dotProduct(where - begin, along) / length
    return begin + along * min(max(part, 0.0), 1.0)
