"""Light and dark: which one is shown, and telling those who draw by themselves when it changes."""

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from quantvsr_gui.shell.style import style_sheet
from quantvsr_gui.shell.tokens import DARK, THEMES, Tokens

MODES = ("system", "dark", "light")


class ThemeManager(QObject):
    """The app's look.

    Signals:
        changed: The tokens are others now; charts and painted widgets take their colours again.
    """

    changed = Signal()

    def __init__(self, app: QApplication, mode: str = "system") -> None:
        super().__init__(app)
        self._app = app
        self._mode = mode
        self._shown: Tokens | None = None
        app.styleHints().colorSchemeChanged.connect(self._refresh)
        app.setStyle("Fusion")
        self._refresh()

    @property
    def tokens(self) -> Tokens:
        """Colours of the theme that is shown."""
        return self._shown or DARK

    @property
    def mode(self) -> str:
        """`system`, `dark` or `light`."""
        return self._mode

    def set_mode(self, mode: str) -> None:
        """Follow the system, or stay dark or light."""
        if mode not in MODES:
            raise ValueError(f"no theme mode {mode!r}")
        self._mode = mode
        self._refresh()

    def _refresh(self) -> None:
        light = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light
        wanted = THEMES[self._mode if self._mode != "system" else "light" if light else "dark"]
        if wanted is not self._shown:
            self._shown = wanted
            self._app.setPalette(_palette(wanted))
            self._app.setStyleSheet(style_sheet(wanted))
            self.changed.emit()


def _palette(theme: Tokens) -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, theme.background),
        (roles.Base, theme.panel),
        (roles.AlternateBase, theme.raised),
        (roles.Button, theme.raised),
        (roles.WindowText, theme.text),
        (roles.Text, theme.text),
        (roles.ButtonText, theme.text),
        (roles.ToolTipBase, theme.raised),
        (roles.ToolTipText, theme.text),
        (roles.PlaceholderText, theme.muted),
        (roles.Highlight, theme.accent),
        (roles.HighlightedText, theme.on_accent),
        (roles.Link, theme.accent),
    ):
        palette.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.disabled))
    return palette
