"""The style sheet made from a theme's tokens. Widgets choose a look by their property `look`."""

from quantvsr.resources import resource
from quantvsr_gui.shell.tokens import Tokens


def style_sheet(theme: Tokens) -> str:
    """Qt style sheet of the whole app."""
    t = theme
    chevron = resource(f"icons/chevron-down-{t.name}.svg").as_posix()
    up = resource(f"icons/chevron-up-{t.name}.svg").as_posix()
    tick = resource(f"icons/tick-{t.name}.svg").as_posix()
    return f"""
QWidget {{ color: {t.text}; font-size: 13px; }}
QMainWindow, QDialog, QStackedWidget, QMenu {{ background: {t.background}; }}
QToolTip {{ color: {t.text}; background: {t.raised}; border: 1px solid {t.line}; padding: 4px 6px; }}
QMenuBar {{ background: {t.panel}; border-bottom: 1px solid {t.line}; padding: 2px 8px; }}
QMenuBar::item {{ padding: 4px 8px; border-radius: 4px; background: transparent; }}
QMenuBar::item:selected {{ background: {t.raised}; }}
QMenu {{ border: 1px solid {t.line}; padding: 4px; }}
QMenu::item {{ padding: 6px 24px 6px 16px; border-radius: 4px; }}
QMenu::item:selected {{ background: {t.raised}; }}
QMenu::item:disabled {{ color: {t.disabled}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: 4px 8px; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}

[look="rail"] {{ background: {t.panel}; border-right: 1px solid {t.line}; }}
[look="brand"] {{ font-size: 15px; font-weight: 600; }}
[look="small"] {{ color: {t.muted}; font-size: 11px; }}
[look="steps"] {{ background: transparent; border: none; outline: none; font-size: 14px; }}
[look="steps"]::item {{
    padding: 8px; margin: 1px 0; color: {t.muted}; border-left: 3px solid transparent; border-radius: 0;
}}
[look="steps"]::item:hover {{ background: {t.raised}; color: {t.text}; }}
[look="steps"]::item:selected {{
    background: {t.raised}; color: {t.text}; border-left: 3px solid {t.accent};
}}

[look="steps"]::item:disabled {{ color: {t.disabled}; }}

[look="title"] {{ font-size: 22px; font-weight: 600; }}
[look="heading"] {{ font-size: 14px; font-weight: 600; }}
[look="muted"] {{ color: {t.muted}; }}
[look="alert"] {{ color: {t.alert}; }}
[look="warning"] {{ color: {t.warning}; }}
[look="good"] {{ color: {t.good}; }}
[look="figure"] {{ font-weight: 600; }}
[look="large"] {{ font-size: 20px; font-weight: 600; }}
[look="code"] {{
    background: {t.background}; border: 1px solid {t.line}; border-radius: 6px; padding: 6px 8px;
    font-family: monospace;
}}
[look="card"] {{ background: {t.panel}; border: 1px solid {t.line}; border-radius: 8px; }}
[look="tour"] {{ background: {t.raised}; border: 1px solid {t.accent}; border-radius: 8px; }}
[look="drop"] {{ background: transparent; border: 2px dashed {t.line}; border-radius: 8px; }}
[look="drop-over"] {{ background: {t.raised}; border: 2px dashed {t.accent}; border-radius: 8px; }}
[look="banner-info"], [look="banner-good"], [look="banner-warning"], [look="banner-alert"] {{
    background: {t.panel}; border: 1px solid {t.line}; border-radius: 6px;
}}
[look="banner-info"] {{ border-left: 4px solid {t.accent}; }}
[look="banner-good"] {{ border-left: 4px solid {t.good}; }}
[look="banner-warning"] {{ border-left: 4px solid {t.warning}; }}
[look="banner-alert"] {{ border-left: 4px solid {t.alert}; }}

QPushButton, QToolButton {{
    background: {t.raised}; border: 1px solid {t.line}; border-radius: 6px; padding: 6px 14px;
}}
QToolButton {{ padding: 6px 8px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {t.muted}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {t.line}; }}
QPushButton:focus, QToolButton:focus {{ border-color: {t.accent}; }}
QPushButton:checked, QToolButton:checked {{ background: {t.line}; border-color: {t.accent}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {t.disabled}; background: {t.panel}; }}
QPushButton[look="primary"] {{
    background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; font-weight: 600;
}}
QPushButton[look="primary"]:hover {{ background: {t.accent_hover}; }}
QPushButton[look="primary"]:focus {{ border-color: {t.text}; }}
QPushButton[look="primary"]:disabled {{ background: {t.panel}; color: {t.disabled}; border-color: {t.line}; }}
QPushButton[look="link"], QToolButton[look="link"] {{
    background: transparent; border: 1px solid transparent; color: {t.accent}; padding: 4px 6px;
}}
QPushButton[look="link"]:hover, QToolButton[look="link"]:hover {{ color: {t.accent_hover}; }}
QPushButton[look="link"]:focus, QToolButton[look="link"]:focus {{ border-color: {t.accent}; }}
QPushButton[look="link"]:disabled, QToolButton[look="link"]:disabled {{ color: {t.disabled}; }}
QToolButton::menu-indicator {{ image: none; }}

QProgressBar {{ background: {t.raised}; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}

QLineEdit, QSpinBox, QDoubleSpinBox, QKeySequenceEdit QLineEdit {{
    background: {t.background}; border: 1px solid {t.line}; border-radius: 6px; padding: 5px 8px;
    selection-background-color: {t.accent}; selection-color: {t.on_accent};
}}
QSpinBox, QDoubleSpinBox {{ padding: 5px 22px 5px 0; qproperty-alignment: AlignCenter; }}
QSpinBox::up-button, QDoubleSpinBox::up-button {{
    subcontrol-origin: border; subcontrol-position: top right; width: 22px; border: none; margin: 2px 2px 0 0;
}}
QSpinBox::down-button, QDoubleSpinBox::down-button {{
    subcontrol-origin: border; subcontrol-position: bottom right; width: 22px; border: none;
    margin: 0 2px 2px 0;
}}
QSpinBox::up-button:hover, QSpinBox::down-button:hover, QDoubleSpinBox::up-button:hover,
QDoubleSpinBox::down-button:hover {{ background: {t.raised}; border-radius: 3px; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url("{up}"); width: 10px; height: 10px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url("{chevron}"); width: 10px; height: 10px; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus {{ border-color: {t.accent}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled {{ color: {t.disabled}; }}
QPlainTextEdit, QTextEdit {{
    background: {t.background}; border: 1px solid {t.line}; border-radius: 6px; padding: 4px;
    selection-background-color: {t.accent}; selection-color: {t.on_accent};
}}

QComboBox {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 6px; padding: 5px 10px; }}
QComboBox:hover {{ border-color: {t.muted}; }}
QComboBox:focus {{ border-color: {t.accent}; }}
QComboBox:disabled {{ color: {t.disabled}; background: {t.panel}; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox::down-arrow {{ image: url("{chevron}"); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: {t.panel}; border: 1px solid {t.line}; outline: none; }}
QComboBox QAbstractItemView::item {{ min-height: 26px; padding-left: 6px; }}

QCheckBox, QRadioButton {{ spacing: 8px; }}
QCheckBox:disabled, QRadioButton:disabled {{ color: {t.disabled}; }}
QCheckBox::indicator, QTableView::indicator, QListView::indicator {{
    width: 16px; height: 16px; border: 1px solid {t.muted}; border-radius: 4px; background: {t.background};
}}
QCheckBox::indicator:checked, QTableView::indicator:checked, QListView::indicator:checked {{
    background: {t.accent}; border-color: {t.accent}; image: url("{tick}");
}}
QCheckBox::indicator:disabled, QTableView::indicator:disabled {{ border-color: {t.line}; }}
QCheckBox:focus::indicator {{ border-color: {t.text}; }}

QSlider {{ min-height: 20px; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.line}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{
    width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {t.text};
}}
QSlider::handle:horizontal:focus {{ background: {t.accent}; }}

QTableView, QListView, QTreeView {{
    background: {t.panel}; alternate-background-color: {t.background}; border: 1px solid {t.line};
    border-radius: 6px; gridline-color: {t.line}; outline: none;
    selection-background-color: {t.raised}; selection-color: {t.text};
}}
QTableView::item, QListView::item {{ padding: 2px 8px; }}
QTableView::item:selected, QListView::item:selected {{ background: {t.raised}; color: {t.text}; }}
QTableView::item:focus {{ border: 1px solid {t.accent}; }}
QHeaderView {{ background: {t.panel}; border: none; }}
QHeaderView::section {{
    background: {t.panel}; color: {t.muted}; border: none; border-bottom: 1px solid {t.line};
    padding: 6px 11px;
}}
QTableCornerButton::section {{ background: {t.panel}; border: none; }}

QTabBar::tab {{
    background: transparent; color: {t.muted}; padding: 6px 12px; border-bottom: 2px solid transparent;
}}
QTabBar::tab:selected {{ color: {t.text}; border-bottom: 2px solid {t.accent}; }}
QTabWidget::pane {{ border: none; }}
QSplitter::handle {{ background: transparent; }}
QSplitter::handle:hover {{ background: {t.line}; }}
QScrollBar:vertical {{ background: transparent; width: 12px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 0; }}
QScrollBar::handle {{ background: {t.line}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 24px; }}
QScrollBar::handle:horizontal {{ min-width: 24px; }}
QScrollBar::handle:hover {{ background: {t.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
    background: transparent; border: none; width: 0; height: 0;
}}
QDockWidget {{ titlebar-close-icon: none; }}
"""
