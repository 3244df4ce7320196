"""The page: whole, self-contained, readable in both themes, and with the figures of its folder."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from quantvsr import cli
from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import ReportJob, job_from_json, run
from quantvsr.progress import Progress
from quantvsr.report import build_report, read_folder
from quantvsr.report.sources import comparison
from quantvsr.report.style import CSS
from quantvsr.upscale.slices import Slice

VOID = {"img", "br", "meta", "input"}


class Page(HTMLParser):
    """Text, tags and attributes; fails where elements do not close in order."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag, **wanted):
        return [
            a for t, a in self.tags if t == tag and all(a.get(k.rstrip("_")) == v for k, v in wanted.items())
        ]


def page(folder, **changes):
    return Page(build_report(read_folder(folder, **changes)))


def picture(image):
    kind, _, data = image["src"].partition(";base64,")
    assert kind == "data:image/webp"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.fixture(params=["sweep_folder", "comparison_folder", "model_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


def test_it_is_well_formed_and_fetches_nothing(folder):
    source = build_report(read_folder(folder))
    found = Page(source)
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert "url(" not in CSS and "@import" not in CSS and "http" not in CSS
    links = {a["href"][1:] for a in found.all("a")}
    assert links and links <= {a.get("id") for _, a in found.tags}
    for drawing in re.findall(r"<svg.*?</svg>", source, re.S):
        ElementTree.fromstring(drawing)
    assert not re.search(r"\bnan\b|None|undefined", found.text)


def test_it_is_the_same_every_time(folder):
    assert build_report(read_folder(folder)) == build_report(read_folder(folder))


def test_a_sweep_shows_its_figures_marked(sweep_folder):
    found = page(sweep_folder)
    rows = re.findall(r"<tr.*?</tr>", build_report(read_folder(sweep_folder)), re.S)
    ours = next(row for row in rows if ">QuantVSR</th>" in row)
    assert '<span class="best">39.50</span>' in ours and '<span class="best">29.00</span>' in ours
    theirs = next(row for row in rows if ">SVDQuant</th>" in row)
    assert '<span class="second">33.50</span>' in theirs
    assert "best" not in next(row for row in rows if ">MaxMin</th>" in row)
    # Distance of the warping error from full precision's own.
    assert '<span class="best">+0.100</span>' in ours
    full = next(row for row in rows if ">Full precision</th>" in row)
    assert 'class="best"' not in full and "29.00" in full
    assert "Figures, mean of 2 clips; to ground truth, of the 1 that have one" in found.text
    assert "Closest to full precision at W4A4: QuantVSR" in found.text and "39.50 dB" in found.text


def test_a_sweep_tells_what_is_missing(sweep_folder):
    words = page(sweep_folder).text
    assert "bad.mp4 is no video." in words
    assert "MaxMin W3A4: It does not fit <conv3d>." in words
    assert "Not reached yet: SVDQuant W3A4. The same sweep command goes on." in words


def test_ablations_have_a_table_of_their_own(sweep_folder):
    source = build_report(read_folder(sweep_folder))
    quality = source[source.index('id="quality"') : source.index('id="pictures"')]
    parts = source[source.index('id="ablations"') : source.index('id="layers"')]
    assert "QuantVSR, no bias" not in quality
    assert "QuantVSR, no bias" in parts and ">QuantVSR</th>" in parts and "SVDQuant" not in parts


def test_a_sweep_shows_pictures_layers_cost_methods_and_how_it_was_made(sweep_folder):
    found = page(sweep_folder)
    # low-quality, bicubic, full precision, three methods, ground truth; ablations are left out.
    assert len(found.all("img", class_="crop")) == 7
    assert len([a for a in found.all("img") if a["alt"].endswith("slice through time")]) == 7
    expected = np.asarray(Image.open(sweep_folder / "scenes/walk/pictures/gt_crop.png"))
    np.testing.assert_array_equal(picture(found.all("img", class_="crop")[-1]), expected)
    for words in (
        "32×24 pixels at (20, 10) of frame 3", "Temporal over", "Simulated execution", "No fused kernels.",
        "quantvsr sweep --bits 4", "torch 2.13.0", "market.mkv", "K1 0.01", "Licence: Apache-2.0",
    ):  # fmt: skip
        assert words in found.text or any(words in str(a) for _, a in found.tags), words
    digests = [word for word in found.words if word == "0123456789abcdef" * 4]
    assert len(digests) >= 8


def test_names_cannot_break_the_page(sweep_folder, sweep_content):
    sweep_content["clips"][0]["name"] = "<script>alert(1)</script>"
    sweep_content["methods"]["maxmin"]["title"] = '"><img src=x>'
    (sweep_folder / "results.json").write_text(json.dumps(sweep_content))
    found = page(sweep_folder)
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 1
    assert "<script>alert(1)</script>" in found.text
    assert not found.all("img", src="x")


def test_missing_pictures_are_left_out(sweep_folder):
    for path in sweep_folder.rglob("*.png"):
        path.unlink()
    assert not page(sweep_folder).all("img")
    assert not page(sweep_folder, pictures=False).all("img")


def test_a_comparison_crops_the_same_region_of_all(comparison_folder):
    report = read_folder(comparison_folder)
    (clip,) = report.clips
    y, x, height, width = clip.region
    assert (height, width) == (96, 128) and clip.frame == 2 and clip.row == y + height // 2
    for kind in ("gt", "fp", "lowbit"):
        frames = [
            np.asarray(Image.open(path)) for path in sorted((comparison_folder / "frames" / kind).iterdir())
        ]
        np.testing.assert_array_equal(clip.pictures[kind].crop, frames[2][y : y + height, x : x + width])
        followed = Slice(clip.row)
        for frame in frames:
            followed.add(frame)
        np.testing.assert_array_equal(clip.pictures[kind].slice, followed.result())
    assert clip.pictures["bicubic"].crop.shape == (96, 128, 3)
    found = page(comparison_folder)
    assert [a["alt"] for a in found.all("img", class_="crop")] == [
        "Bicubic: crop", "Full precision: crop", "QuantVSR W4A4: crop", "Ground truth: crop",
    ]  # fmt: skip


def test_a_long_comparison_reads_some_frames_only(comparison_folder, monkeypatch):
    monkeypatch.setattr(comparison, "_LINES", 2)
    (clip,) = read_folder(comparison_folder).clips
    files = sorted((comparison_folder / "frames" / "fp").iterdir())
    lines = [np.asarray(Image.open(files[number]))[clip.row] for number in (0, 3)]
    np.testing.assert_array_equal(clip.pictures["fp"].slice, np.stack(lines))
    assert clip.pictures["fp"].crop is not None


def test_a_comparison_shows_figures_sizes_and_times(comparison_folder):
    found = page(comparison_folder)
    for words in (
        "39.20 dB",
        "44.18 MB → 6.94 MB",
        "84.29%",
        "2.2 min",
        "quantvsr demo --out demo",
        "walk.mkv",
    ):
        assert words in found.text, words
    report = read_folder(comparison_folder)
    figures = {entry.key: dict(entry.mean) for entry in report.entries}
    assert figures["fp"] == {"psnr_gt": 29.0, "psnr_y_gt": 30.4, "ssim_gt": 0.895, "warp_error": 0.151}
    assert figures["gt"] == {"warp_error": 0.17}
    assert figures["lowbit"]["psnr_fp"] == 39.2


def test_a_comparison_may_name_its_versions(comparison_folder):
    content = json.loads((comparison_folder / "metrics.json").read_text())
    content["labels"] = {"lowbit": "W4A4 SVDQuant"}
    (comparison_folder / "metrics.json").write_text(json.dumps(content))
    labels = {entry.key: entry.title for entry in read_folder(comparison_folder).entries}
    assert labels["lowbit"] == "SVDQuant W4A4" and labels["fp"] == "Full precision"


def test_a_model_shows_layers_and_size(model_folder):
    report = read_folder(model_folder)
    (layers,) = report.layers
    assert layers.ranks == (4, 8, 16, 12) and layers.kinds == ("conv", "temporal", "to_q", "conv")
    assert layers.spatial is not None and 0.2 < layers.spatial[0] < 2
    assert [stage.name for stage in layers.stages] == ["low-rank", "bias"]
    (entry,) = report.entries
    assert entry.bytes_lowbit == (model_folder / "checkpoint.safetensors").stat().st_size
    found = page(model_folder)
    for words in ("Quantized model my-model", "QuantVSR W4A4", "4.99", "2.2 min", "Learned from walk.mkv"):
        assert words in found.text, words


def test_a_project_shows_its_runs(tmp_path, write_model):
    folder = write_model(tmp_path / "walk.qvsr", checkpoint=False)
    write_model(folder / "checkpoints" / "r1", checkpoint=False)
    result = {
        "bits": "W4A4", "bytes_fp32": 4000, "bytes_lowbit": 600, "effective_bits": 4.8, "layers": 4,
        "seconds": {"record": 10.0, "quantize": 120.0},
    }  # fmt: skip
    job = {"settings": {"method": "quantvsr", "preset": "quick", "bits": "W4A4", "seed": 42}}
    runs = [
        {"id": "r1", "name": "First try", "state": "done", "job": job, "result": result},
        {"id": "r2", "name": "Second", "state": "failed", "job": job, "message": "The disk is full."},
    ]
    content = {"format": "quantvsr-project", "version": 1, "program": "0.1.0", "runs": runs}
    (folder / "project.json").write_text(json.dumps(content))
    report = read_folder(folder)
    assert [entry.title for entry in report.entries] == ["First try W4A4"]
    assert [layers.title for layers in report.layers] == ["Analysis", "First try"]
    words = page(folder).text
    for expected in (
        "Project walk",
        "Second: failed. The disk is full.",
        "2.2 min",
        "85.00%",
        "preset quick",
    ):
        assert expected in words, expected


def test_a_model_without_ranks(model_folder):
    for name in ("ranks.json", "complexity.npz", "refinement.json"):
        (model_folder / name).unlink()
    words = page(model_folder).text
    assert "QuantVSR W4A4" in words and "Bits a weight" in words and "Layers" not in words


def test_an_analysis_alone(model_folder):
    (model_folder / "checkpoint.safetensors").unlink()
    (model_folder / "refinement.json").unlink()
    found = page(model_folder)
    assert "Analysis my-model" in found.text and "Size and time" not in found.text


def test_a_sensitivity_file_beside_the_results_is_shown(comparison_folder):
    layers = [
        {"name": "up.0.conv1", "kind": "conv", "rank": 4, "gain": 0.8, "alone": 44.0},
        {"name": "down.0.conv1", "kind": "conv", "rank": 4, "gain": None, "alone": None},
    ]
    found = {
        "region": [12, 8, 24, 32], "start": 0, "frames": 5, "clip_name": "walk.mkv", "bits": "W4A4",
        "psnr": 38.0, "measured": 1, "layers": layers,
    }  # fmt: skip
    (comparison_folder / "sensitivity.json").write_text(json.dumps(found))
    words = page(comparison_folder).text
    assert (
        "+0.80 dB" in words and "32×24 pixels at (8, 12)" in words and "1 of 2 layers were measured" in words
    )


@pytest.mark.parametrize("name", ["project.json", "results.json", "metrics.json", "ranks.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"layers": 3, "versions": 1}'])
def test_damaged_results_are_named(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=name):
        read_folder(tmp_path)


def test_a_damaged_part_does_not_stop_the_report(comparison_folder):
    for name in ("complexity.npz", "refinement.json", "ranks.json", "checkpoint.safetensors"):
        (comparison_folder / name).write_bytes(b"broken")
    first = next(iter((comparison_folder / "frames" / "fp").iterdir()))
    first.write_bytes(b"broken")
    found = page(comparison_folder)
    assert "39.20 dB" in found.text and "Layers" not in found.text.split("Size and time")[0]


def test_folders_without_results(tmp_path):
    with pytest.raises(BadInput, match="nowhere"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"results\.json, metrics\.json, ranks\.json"):
        read_folder(tmp_path)


def contrast(a, b):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(theme):
    block = next(b for b in re.findall(r"\{([^{}]*color-scheme:\w+[^{}]*)\}", CSS) if f"scheme:{theme}" in b)
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block))
    for ground in ("page", "card"):
        for ink in ("text", "muted", "accent"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for number in range(8):
        assert contrast(colours[f"s{number}"], colours["card"]) >= 3
    assert contrast(colours["text"], colours["soft"]) >= 4.5


def test_the_job_writes_the_file(comparison_folder, tmp_path):
    result = run(ReportJob(folder=str(comparison_folder)))
    assert result.out == comparison_folder / "report.html"
    assert result.size == result.out.stat().st_size and result.clips == 1 and result.versions == 4
    plain = run(
        ReportJob(
            folder=str(comparison_folder), out=str(tmp_path / "r.html"), pictures=False, title="My <title>"
        )
    )
    assert plain.size < result.size / 3
    assert "<h1>My &lt;title&gt;</h1>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_job_refuses_a_folder_as_its_file(comparison_folder, tmp_path):
    with pytest.raises(BadInput, match=r"such as .*report\.html"):
        run(ReportJob(folder=str(comparison_folder), out=str(tmp_path)))


def test_the_job_can_be_stopped_and_leaves_nothing(comparison_folder):
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        run(ReportJob(folder=str(comparison_folder)), progress)
    assert not (comparison_folder / "report.html").exists()


def test_the_command_line(model_folder, tmp_path, capsys):
    assert cli.main(["report", str(model_folder), "--out", str(tmp_path / "x.html")]) == 0
    assert "x.html" in capsys.readouterr().out
    job = ReportJob(folder="a", title="b")
    assert job_from_json(json.loads(json.dumps(job.to_json()))) == job
