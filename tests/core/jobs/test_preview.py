"""Frames for looking at: the very ones that a whole run gives, kept, and measured."""

import numpy as np
import pytest
import torch

from quantvsr.errors import BadInput
from quantvsr.jobs import PreviewJob, UpscaleJob, run
from quantvsr.jobs.preview import PreviewResult
from quantvsr.jobs.work.lowbit import execution_key
from quantvsr.media import open_clip
from quantvsr.preview.keys import Scene, execution_words, fingerprint, rendered_key, version_key
from quantvsr.preview.store import ClipFacts, FrameStore, compress, map_frame, read_rgb
from quantvsr.progress import Progress


class Told(Progress):
    def __init__(self):
        super().__init__()
        self.frames = []

    def report(self, fraction, message="", **payload):
        if "frame" in payload:
            self.frames.append((payload["version"], payload["frame"]))


@pytest.fixture
def look(model, make_clip, tmp_path):
    """Render frames of a clip of 30 pictures: `look(start=4, frames=2, versions=("fp",))`."""
    clip = make_clip("clip", count=30)

    def render(progress=None, **changes):
        settings = {"versions": ("lq", "bicubic", "fp"), "out": str(tmp_path / "cache"), **changes}
        result = run(PreviewJob(clip=str(clip), model=str(model), **settings), progress)
        assert isinstance(result, PreviewResult)
        return result

    return render


def frames_of(result, version):
    found = FrameStore(result.out).version(result.keys[version]).scan()
    return {index: read_rgb(frame) for index, frame in found.items()}


def test_the_frames_are_those_of_the_whole_run(look, model, tmp_path):
    result = look(start=13, frames=4)
    run(UpscaleJob(clip=str(tmp_path / "clip"), out=str(tmp_path / "whole"), model=str(model), codec="png"))
    with open_clip(tmp_path / "whole") as reader:
        whole = [np.rint(frame.rgb * 255).astype(np.uint8) for frame in reader]
    found = frames_of(result, "fp")
    assert list(found) == [13, 14, 15, 16]
    for index, picture in found.items():
        assert np.array_equal(picture, whole[index])
    assert frames_of(result, "lq")[13].shape == (16, 16, 3)
    assert frames_of(result, "bicubic")[13].shape == (64, 64, 3)
    facts = ClipFacts.read(result.out / result.keys["lq"])
    assert facts is not None
    assert (facts.frames, facts.width) == (30, 16)
    assert facts.times[:3] == pytest.approx((0, 0.04, 0.08))


def test_only_what_is_missing_is_rendered(look):
    assert look(start=2, frames=3).rendered == 9
    told = Told()
    again = look(told, start=3, frames=4)
    assert again.rendered == 6
    assert told.frames == [(v, i) for v in ("lq", "bicubic", "fp") for i in (5, 6)]


def test_a_checkpoint_is_a_version(finished, tmp_path):
    versions = ("fp", str(finished.folder))
    job = PreviewJob(
        clip=str(finished.clip), model=str(finished.model), versions=versions, out=str(tmp_path), frames=2
    )
    result = run(job)
    assert isinstance(result, PreviewResult)
    low = frames_of(result, str(finished.checkpoint))
    assert list(low) == [0, 1]
    assert not np.array_equal(low[0], frames_of(result, "fp")[0])


def test_figures_are_kept_with_the_frames(look, make_clip):
    gt = make_clip("gt", count=30, height=64, width=64)
    versions = ("gt", "fp", "bicubic")
    result = look(start=4, frames=3, versions=versions, gt=str(gt), measure=True)
    store = FrameStore(result.out)
    values = store.version(result.keys["bicubic"]).values()
    gt_key, fp_key = result.keys["gt"], result.keys["fp"]
    assert set(values) == {
        *(f"{name}/{key}" for name in ("psnr", "ssim", "flicker") for key in (gt_key, fp_key)),
        f"warp_error/{gt_key}",
    }
    assert list(values[f"psnr/{gt_key}"]) == [4, 5, 6]
    assert list(values[f"flicker/{gt_key}"]) == [5, 6]
    a, b = (frames_of(result, version)[5].astype(float) for version in ("bicubic", "fp"))
    assert np.abs(a - b).mean() > 0
    # The next look adds to them, with the frame before as a start.
    look(start=7, frames=2, versions=versions, gt=str(gt), measure=True)
    values = store.version(result.keys["bicubic"]).values()
    assert list(values[f"flicker/{gt_key}"]) == [5, 6, 7, 8]


def test_a_single_frame_is_measured(look, make_clip):
    gt = make_clip("gt", count=30, height=64, width=64)
    result = look(start=4, frames=1, versions=("gt", "bicubic"), gt=str(gt), measure=True)
    values = FrameStore(result.out).version(result.keys["bicubic"]).values()
    assert list(values[f"psnr/{result.keys['gt']}"]) == [4]


def test_packed_pictures_are_not_measured(look, make_clip):
    gt = make_clip("gt", count=30, height=64, width=64)
    wanted = {"start": 4, "frames": 3, "gt": str(gt), "measure": True}
    first = look(versions=("gt", "fp"), **wanted)
    store = FrameStore(first.out)
    exact = store.version(first.keys["fp"]).values()
    for key in first.keys.values():
        compress(store.version(key))
    # What was measured is known: there is nothing to do.
    assert look(versions=("gt", "fp"), **wanted).rendered == 0
    # Another version is compared with what was rendered, not with JPEGs of it.
    again = look(versions=("gt", "fp", "bicubic"), **wanted)
    assert again.rendered == 9
    assert (
        store.version(first.keys["fp"]).values()[f"psnr/{first.keys['gt']}"]
        == (exact[f"psnr/{first.keys['gt']}"])
    )


def test_a_raw_frame_is_drawn_as_it_is(look):
    result = look(start=0, frames=1, versions=("lq",))
    version = FrameStore(result.out).version(result.keys["lq"])
    frame = version.scan()[0]
    mapped = map_frame(frame)
    assert mapped.shape == (16, 16, 4)
    assert (mapped[..., 3] == 255).all()
    assert np.array_equal(mapped[..., 2::-1], read_rgb(frame))
    compress(version)
    packed = version.scan()[0]
    assert not packed.raw
    assert np.abs(read_rgb(packed).astype(int) - mapped[..., 2::-1]).mean() < 6
    with pytest.raises(BadInput, match=frame.path.name):
        map_frame(frame)


def test_the_cache_has_a_limit(look):
    first = look(start=0, frames=3, versions=("fp",))
    second = look(start=0, frames=3, versions=("fp",), seed=7, limit=0.1)
    assert first.keys != second.keys
    store = FrameStore(second.out)
    assert store.prune(60_000, frozenset(second.keys.values())) <= 60_000
    assert not (second.out / first.keys["fp"]).exists()
    assert list(frames_of(second, "fp")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": 30}, "frame 30"),
        ({"versions": ("gt",)}, "--gt"),
        ({"versions": ("nowhere",)}, "nowhere"),
        ({"gt": "missing.mp4", "versions": ("gt",)}, r"missing\.mp4"),
    ],
)
def test_what_cannot_be_rendered_is_said(look, change, words):
    with pytest.raises(BadInput, match=words):
        look(**change)


def test_keys_follow_content_not_place(make_clip, model, tmp_path):
    a, b = make_clip("a"), make_clip("b")
    keys = [version_key(Scene(str(place), model=str(model)), "fp") for place in (a, b)]
    assert keys[0] == keys[1]
    assert version_key(Scene(str(a), model=str(model), seed=1), "fp") != keys[0]
    assert version_key(Scene(str(a), model=str(model), first=4), "lq") == version_key(Scene(str(b)), "lq")
    big = tmp_path / "big"
    big.write_bytes(bytes(5 << 20))
    before = fingerprint(str(big))
    with big.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert fingerprint(str(big)) != before


def test_low_bit_frames_are_those_of_the_whole_run_too(finished, tmp_path):
    settings = {"clip": str(finished.clip), "model": str(finished.model)}
    versions = (str(finished.folder),)
    result = run(PreviewJob(**settings, versions=versions, out=str(tmp_path), start=2, frames=2))
    assert isinstance(result, PreviewResult)
    whole = tmp_path / "whole"
    run(UpscaleJob(**settings, checkpoint=str(finished.folder), out=str(whole), codec="png"))
    with open_clip(whole) as reader:
        pictures = [np.rint(frame.rgb * 255).astype(np.uint8) for frame in reader]
    found = frames_of(result, str(finished.checkpoint))
    assert list(found) == [2, 3]
    assert all(np.array_equal(picture, pictures[index]) for index, picture in found.items())


def test_what_computes_a_frame_is_part_of_its_key(finished, tmp_path):
    checkpoint = str(finished.checkpoint)

    def render(backend):
        versions = ("lq", "fp", str(finished.folder))
        settings = {"clip": str(finished.clip), "model": str(finished.model), "versions": versions}
        result = run(PreviewJob(**settings, out=str(tmp_path), frames=1, device="cpu", backend=backend))
        assert isinstance(result, PreviewResult)
        return result

    best, plain = render("auto"), render("simulated")
    store = FrameStore(tmp_path)
    content = version_key(Scene(str(finished.clip), model=str(finished.model)), checkpoint)
    assert plain.keys[checkpoint] == rendered_key(content, "cpu-simulated-float32")
    assert plain.keys["fp"].endswith("-cpu")
    assert execution_words(plain.keys[checkpoint]) == "cpu, simulated, float32"
    assert execution_words(plain.keys["lq"]) == ""
    # Only the low-bit model depends on the backend; what was rendered last is what is shown.
    assert {best.keys[each] == plain.keys[each] for each in ("lq", "fp")} == {True}
    assert store.latest(content) == plain.keys[checkpoint]
    if best.keys[checkpoint] != plain.keys[checkpoint]:  # where there is an integer backend
        assert plain.rendered == 1
        assert render("auto").rendered == 0
        assert store.latest(content) == best.keys[checkpoint]
    assert store.latest("fp-unknown") == "fp-unknown"


def test_device_kind_backend_and_compute_type_decide_a_key(monkeypatch):
    class Backend:
        key = "fast"
        title = "integer, very-fast int8"

        def carriers(self, device):
            return (torch.bfloat16, torch.float32)

    monkeypatch.setattr("quantvsr.jobs.work.lowbit.candidates", lambda name, device: [Backend()])
    assert execution_key(torch.device("cuda", 1), "auto") == "cuda-very_fast_int8-bfloat16"
    assert execution_key(torch.device("cuda", 1), None) == "cuda"
