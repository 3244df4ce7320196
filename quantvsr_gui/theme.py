"""Colours and the style sheet. One neutral dark theme: pictures are judged against grey, not white."""

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from quantvsr.resources import resource

BACKGROUND = "#1b1e24"
SURROUND = "#14161a"  # around pictures
PANEL = "#22262e"
RAISED = "#2b303a"
LINE = "#363c48"
TEXT = "#e6e9ee"
MUTED = "#9aa3b2"
DISABLED = "#666e7c"
ACCENT = "#4cc2a8"
ACCENT_HOVER = "#63d0b8"
ON_ACCENT = "#0d1f1a"
ALERT = "#f08b7d"

_CHEVRON = resource("icons/chevron-down.svg").as_posix()

STYLE = f"""
QWidget {{ color: {TEXT}; }}
QMainWindow, QStackedWidget {{ background: {BACKGROUND}; }}
QToolTip {{ color: {TEXT}; background: {RAISED}; border: 1px solid {LINE}; padding: 4px 6px; }}

#rail {{ background: {PANEL}; border-right: 1px solid {LINE}; }}
#brand {{ font-size: 15px; font-weight: 600; }}
#version {{ color: {MUTED}; font-size: 11px; }}
#steps {{ background: transparent; border: none; outline: none; font-size: 14px; }}
#steps::item {{ padding: 9px; margin: 1px 0; color: {MUTED}; border-left: 3px solid transparent; }}
#steps::item:hover {{ background: {RAISED}; color: {TEXT}; }}
#steps::item:selected {{ background: {RAISED}; color: {TEXT}; border-left: 3px solid {ACCENT}; }}

#title {{ font-size: 22px; font-weight: 600; }}
#summary {{ color: {MUTED}; font-size: 14px; }}
#card {{ background: {PANEL}; border: 1px solid {LINE}; border-radius: 10px; }}
#card QLabel {{ font-size: 14px; }}
#heading {{ font-weight: 600; }}
#muted {{ color: {MUTED}; }}
#command {{ background: {BACKGROUND}; border: 1px solid {LINE}; border-radius: 6px; padding: 7px 10px; }}
#alert {{ color: {ALERT}; }}
#figure {{ font-weight: 600; }}

QPushButton {{ background: {RAISED}; border: 1px solid {LINE}; border-radius: 6px; padding: 7px 16px; }}
QPushButton:hover {{ border-color: {MUTED}; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ color: {DISABLED}; background: {PANEL}; }}
#primary {{ background: {ACCENT}; color: {ON_ACCENT}; border-color: {ACCENT}; font-weight: 600; }}
#primary:hover {{ background: {ACCENT_HOVER}; }}
#primary:focus {{ border-color: {TEXT}; }}
#primary:disabled {{ background: {PANEL}; color: {DISABLED}; border-color: {LINE}; }}

QProgressBar {{ background: {PANEL}; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}

QComboBox {{ background: {RAISED}; border: 1px solid {LINE}; border-radius: 6px; padding: 4px 10px; }}
QComboBox:focus {{ border-color: {ACCENT}; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: url("{_CHEVRON}"); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: {RAISED}; border: 1px solid {LINE}; outline: none; }}
QComboBox QAbstractItemView::item {{ min-height: 26px; padding-left: 6px; }}

QSlider {{ min-height: 20px; }}
QSlider::groove:horizontal {{ height: 4px; background: {RAISED}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {ACCENT}; border-radius: 2px; }}
QSlider::handle:horizontal {{
    width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {TEXT};
}}
QSlider::handle:horizontal:focus {{ background: {ACCENT}; }}
"""


def apply(app: QApplication) -> None:
    """Give the whole application this look."""
    app.setStyle("Fusion")
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, BACKGROUND),
        (roles.Base, PANEL),
        (roles.AlternateBase, RAISED),
        (roles.Button, RAISED),
        (roles.WindowText, TEXT),
        (roles.Text, TEXT),
        (roles.ButtonText, TEXT),
        (roles.ToolTipBase, RAISED),
        (roles.ToolTipText, TEXT),
        (roles.PlaceholderText, MUTED),
        (roles.Highlight, ACCENT),
        (roles.HighlightedText, ON_ACCENT),
    ):
        palette.setColor(role, QColor(colour))
    app.setPalette(palette)
    app.setStyleSheet(STYLE)
