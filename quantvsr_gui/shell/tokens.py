"""All colours and sizes of the app, as values: one set per theme. Other files name roles, not colours.

Pictures are judged against grey, so the surroundings of pictures are neutral in both themes. The series
colours are those of Okabe and Ito ("Color Universal Design", 2008), which stay apart with every common kind
of colour blindness; those too light for a white background are darkened.
"""

from dataclasses import dataclass

GRID = 8  # pixels: distances are multiples of it, or half of it


@dataclass(frozen=True)
class Tokens:
    """Colours of one theme, as #rrggbb.

    Attributes:
        name: "dark" or "light".
        background: Of the window.
        surround: Around pictures.
        panel: Cards and the rail.
        raised: Buttons, fields, selected rows.
        line: Borders.
        text, muted, disabled: Of text, most important first.
        accent, accent_hover, on_accent: The one colour of actions, and text on it.
        good, warning, alert: Of messages.
        chart: Background of charts.
        axis: Axes and their labels.
        grid: Grid lines.
        mark: Thresholds and limits in charts.
        selection: What is selected in charts, tables and pictures.
        series: Eight colours for lines, bars and dots.
    """

    name: str
    background: str
    surround: str
    panel: str
    raised: str
    line: str
    text: str
    muted: str
    disabled: str
    accent: str
    accent_hover: str
    on_accent: str
    good: str
    warning: str
    alert: str
    chart: str
    axis: str
    grid: str
    mark: str
    selection: str
    series: tuple[str, ...]


DARK = Tokens(
    name="dark",
    background="#1b1e24",
    surround="#14161a",
    panel="#22262e",
    raised="#2d323d",
    line="#3a404d",
    text="#e6e9ee",
    muted="#a3acbb",
    disabled="#6d7583",
    accent="#4cc2a8",
    accent_hover="#63d0b8",
    on_accent="#0d1f1a",
    good="#62c98a",
    warning="#e8b44c",
    alert="#f08b7d",
    chart="#1e2229",
    axis="#a3acbb",
    grid="#323845",
    mark="#e8b44c",
    selection="#ffffff",
    series=("#56b4e9", "#e69f00", "#2fc39a", "#cc79a7", "#f0e442", "#d9734a", "#4f8fd0", "#b8bfca"),
)
LIGHT = Tokens(
    name="light",
    background="#f4f5f7",
    surround="#d9dbdf",
    panel="#ffffff",
    raised="#eceef1",
    line="#d3d7de",
    text="#1d2229",
    muted="#5a6472",
    disabled="#9aa2ae",
    accent="#0f7d68",
    accent_hover="#0b6a58",
    on_accent="#ffffff",
    good="#1d7f45",
    warning="#8f5e00",
    alert="#b3372a",
    chart="#ffffff",
    axis="#5a6472",
    grid="#e4e7eb",
    mark="#a66c00",
    selection="#000000",
    series=("#0072b2", "#c47f00", "#00795a", "#a8518a", "#8a7f00", "#b84f1b", "#3a63a8", "#5a6472"),
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}
