"""docs/metrics.md tells of every metric what the registry tells."""

from quantvsr.metrics import metrics


def test_the_page_has_every_metric_with_its_conventions_and_licence(repository):
    page = " ".join((repository / "docs" / "metrics.md").read_text(encoding="utf-8").split())
    for name, about in metrics().items():
        assert f"| `{name}` | {about.title}" in page, name
        assert " ".join(about.conventions.split()) in page, name
        assert f"Licence: {about.licence}." in page, name
