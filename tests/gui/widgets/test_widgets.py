"""Small widgets: the pre-flight card, messages, tables, texts, copied commands."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from fake_engine import FakeEngine
from quantvsr.errors import BadInput
from quantvsr.jobs import EstimateJob, InfoJob, QuantizeJob
from quantvsr_gui.widgets.banner import Messages
from quantvsr_gui.widgets.command import CopyCommand
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.estimates import roughly
from quantvsr_gui.widgets.preflight import PreflightCard
from quantvsr_gui.widgets.table import RowsModel, SearchTable
from quantvsr_gui.widgets.text import duration, size

ANSWER = {
    "seconds": 200.0,
    "memory": 1_200_000_000,
    "memory_there": 8_000_000_000,
    "disk": 45_000_000,
    "disk_free": 76_000_000_000,
    "advice": [],
}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def card(qtbot: QtBot, engine: FakeEngine) -> PreflightCard:
    made = PreflightCard(engine)  # type: ignore[arg-type]
    made.estimates._later.setInterval(0)
    qtbot.addWidget(made)
    made.show()
    return made


def texts(card: PreflightCard) -> list[str]:
    return [card.values[name].text() for name in ("Time", "Memory", "Disk")]


def test_what_a_job_takes_is_shown_in_round_numbers(
    card: PreflightCard, engine: FakeEngine, qtbot: QtBot
) -> None:
    job = QuantizeJob(out="x")
    card.ask(job)
    card.ask(job)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1, timeout=5000)
    asked = engine.submitted[0].job
    assert isinstance(asked, EstimateJob)
    assert asked.asked() == job
    engine.submitted[0].begin()
    engine.submitted[0].succeed(ANSWER)
    assert texts(card) == ["about 3 min", "about 1.2 GB of 8 GB", "about 45 MB, 76 GB are free"]
    assert card.note.property("look") == "muted"


def test_advice_is_a_warning_and_another_job_is_asked_about_anew(
    card: PreflightCard, engine: FakeEngine, qtbot: QtBot
) -> None:
    card.ask(QuantizeJob(out="x"))
    qtbot.waitUntil(lambda: len(engine.submitted) == 1, timeout=5000)
    engine.submitted[0].succeed({**ANSWER, "advice": ["This takes long: choose fewer samples."]})
    assert card.note.text() == "This takes long: choose fewer samples."
    assert card.note.property("look") == "warning"
    card.ask(QuantizeJob(out="y"))
    assert texts(card) == ["–"] * 3
    qtbot.waitUntil(lambda: len(engine.submitted) == 2, timeout=5000)
    card.ask(None)
    assert engine.asked == [("cancel", engine.submitted[1])]
    assert not card.note.isVisible()


def test_a_job_that_cannot_be_estimated_says_why(
    card: PreflightCard, engine: FakeEngine, qtbot: QtBot
) -> None:
    card.ask(QuantizeJob(out="x"))
    qtbot.waitUntil(lambda: bool(engine.submitted), timeout=5000)
    engine.submitted[0].fail("There is no model at /nowhere.")
    assert card.note.text() == "There is no model at /nowhere."


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "5 s"), (42, "40 s"), (90, "2 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_estimates_have_few_digits(seconds: float, text: str) -> None:
    assert roughly(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (65, "1 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (7_240_000, "7.24 MB"), (123_456_789, "123 MB"), (None, "unknown")]
)
def test_sizes(count: float | None, text: str) -> None:
    assert size(count) == text


def test_messages_replace_each_other_by_key(qtbot: QtBot) -> None:
    messages, done = Messages(), []
    qtbot.addWidget(messages)
    messages.show_message("one", key="a")
    messages.show_message("two", "alert", {"Do it": lambda: done.append(1)}, key="b")
    messages.show_message("three", key="a")
    assert messages.texts() == ["three", "two"]
    next(button for button in messages.findChildren(QPushButton) if button.text() == "Do it").click()
    assert (done, messages.texts()) == ([1], ["three"])
    messages.clear("a")
    assert messages.texts() == []


def test_a_table_is_searched_and_sorted_by_value(qtbot: QtBot) -> None:
    model = RowsModel(("Name", "Size|Bytes on disk"))
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    table = SearchTable(model, "Files")
    qtbot.addWidget(table)
    model.set_rows([("b", 10), ("a", 9), ("C", None)], [("b", "10 B"), ("a", "9 B"), ("C", "–")])
    assert table.count.text() == "3 rows"
    table.view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert [table.proxy.index(row, 0).data() for row in range(3)] == ["a", "b", "C"]
    table.search.setText("9 b")
    assert (table.count.text(), table.source_row(table.proxy.index(0, 0))) == ("1 of 3 rows", 1)
    assert model.headerData(1, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole) == "Bytes on disk"


def test_a_command_is_copied_or_says_why_not(qtbot: QtBot) -> None:
    jobs: list[object] = [InfoJob(), None]

    def job() -> InfoJob | None:
        if not jobs:
            raise BadInput("Tick a clip.")
        return jobs.pop(0)  # type: ignore[return-value]

    button = CopyCommand(job)
    qtbot.addWidget(button)
    button.click()
    assert (button.text(), QGuiApplication.clipboard().text()) == ("Copied", "quantvsr info")
    button.click()
    assert button.text() == "Nothing to run yet"
    button.click()
    assert button.text() == "Tick a clip."
    button._back.timeout.emit()
    button._back.stop()
    assert button.text() == "Copy as command"


@pytest.mark.parametrize("width", [320, 1200])
def test_an_empty_state_wraps_its_text_without_cutting_it(qtbot: QtBot, width: int) -> None:
    state = EmptyState("No clips yet", "Drop videos or folders of pictures here. " * 4)
    qtbot.addWidget(state)
    state.resize(width, 500)
    state.show()
    qtbot.waitExposed(state)
    label = state.text
    assert label.width() <= min(width, 560)
    assert label.height() >= label.heightForWidth(label.width())
