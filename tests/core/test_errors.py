import pytest

from quantvsr.errors import BadInput, BadModel, Cancelled, DiskFull, QuantVSRError


@pytest.mark.parametrize(
    ("kind", "code"), [(QuantVSRError, 1), (BadInput, 2), (BadModel, 2), (DiskFull, 3), (Cancelled, 130)]
)
def test_each_failure_has_its_exit_code(kind, code):
    assert kind.exit_code == code
    assert issubclass(kind, QuantVSRError)


def test_a_wrong_model_is_bad_input():
    assert issubclass(BadModel, BadInput)


def test_cancelled_needs_no_words():
    assert str(Cancelled()) == "Cancelled."
