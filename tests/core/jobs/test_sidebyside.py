"""Several versions in one video, from where it was stopped."""

import pytest

from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import SideBySideJob, run
from quantvsr.jobs.sidebyside import SideBySideResult
from quantvsr.media import open_clip, probe, segment_writer
from quantvsr.progress import Progress


def job(finished, out, **changes):
    settings = {"versions": ("lq", "bicubic", "fp", str(finished.folder)), **changes}
    return SideBySideJob(clip=str(finished.clip), model=str(finished.model), out=str(out), **settings)


def decoded(path):
    with open_clip(path) as reader:
        return [frame.rgb for frame in reader]


class Stop(Progress):
    def report(self, fraction, message="", **payload):
        if message == "frame 4 of 6":
            self.cancel()


def test_four_versions_and_the_same_video_after_a_stop(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(segment_writer, "SEGMENT_FRAMES", 3)
    whole = run(job(finished, tmp_path / "whole.mkv", codec="ffv1"))
    assert isinstance(whole, SideBySideResult)
    assert (whole.frames, whole.resumed) == (6, 0)
    info = probe(whole.out)
    assert (info.width, info.height) == (whole.width, whole.height)
    with pytest.raises(Cancelled):
        run(job(finished, tmp_path / "part.mkv", codec="ffv1"), Stop())
    again = run(job(finished, tmp_path / "part.mkv", codec="ffv1"))
    assert isinstance(again, SideBySideResult)
    assert again.resumed == 4
    assert all((a == b).all() for a, b in zip(decoded(whole.out), decoded(again.out), strict=True))
    assert not (tmp_path / "part.mkv.parts").exists()


def test_progress_rises_while_the_models_compute(finished, tmp_path):
    class Listener(Progress):
        def __init__(self):
            super().__init__()
            self.heard = []

        def report(self, fraction, message="", **payload):
            self.heard.append(fraction)

    listener = Listener()
    run(job(finished, tmp_path / "a.mkv", codec="ffv1", steps=4), listener)
    assert listener.heard == sorted(listener.heard)
    assert listener.heard[-1] == 1
    # Two models, two windows of four steps each, and six frames.
    assert len(set(listener.heard)) > 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"versions": ()}, "0 versions"),
        ({"versions": ("lq",) * 5}, "5 versions"),
        ({"versions": ("gt",)}, "--gt"),
        ({"versions": ("lq", "fp"), "labels": ("one",)}, "1 labels"),
        ({"versions": ("lq", "nowhere")}, "nowhere"),
    ],
)
def test_what_cannot_be_shown_is_said(finished, tmp_path, change, words):
    with pytest.raises(BadInput, match=words):
        run(job(finished, tmp_path / "a.mp4", **change))
    assert list(tmp_path.iterdir()) == []


def test_a_ground_truth_of_another_size_is_refused(finished, tmp_path):
    with pytest.raises(BadInput, match="64x64"):
        run(job(finished, tmp_path / "a.mp4", versions=("gt",), gt=str(finished.clip)))
