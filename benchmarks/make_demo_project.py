"""Make resources/projects/demo.qvsr, which the app opens at its first start, with results on every page.

    python benchmarks/make_demo_project.py [--preset standard] [--out FOLDER]
    python benchmarks/make_demo_project.py --only-measure

Learns from three of the bundled clips and shows the fourth. Keeps the W4A4 checkpoint, complexity, ranks,
loss curves, thumbnails and some frames as JPEG; removes calibration samples. Prints sizes and seconds.
The run's PSNR to full precision is measured as the app does it; --only-measure does just that for the project
that is there.
"""

import argparse
import dataclasses
import time
from pathlib import Path

from quantvsr.console import Bar
from quantvsr.files import remove
from quantvsr.jobs import PreviewJob, ProbeJob, run
from quantvsr.jobs.work.clips import bundled_clips
from quantvsr.preview.store import FrameStore, compress
from quantvsr.project import ClipEntry, Project, RunRecord, RunState, Settings
from quantvsr.project.folder import now
from quantvsr.project.requests import analyze_job, quantize_job, score_job

ROOT = Path(__file__).resolve().parent.parent
RUN = "w4a4-1"
FRAMES = 12
# What runs leave for going on later, and pictures that the app draws itself.
UNWANTED = ("work", "checkpoints/*/work", "*.png", "checkpoints/*/*.png", "project.lock")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled project.")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--out", type=Path, default=ROOT / "resources" / "projects" / "demo.qvsr")
    parser.add_argument("--only-measure", action="store_true")
    arguments = parser.parse_args()
    if arguments.only_measure:
        project = Project.open(arguments.out)
    else:
        remove(arguments.out)
        project = Project.create(arguments.out, settings(arguments.preset))
    try:
        if not arguments.only_measure:
            fill(project)
        measure(project)
    finally:
        project.close()
    for pattern in UNWANTED:
        for path in arguments.out.glob(pattern):
            remove(path)
    sizes = {path.relative_to(arguments.out).parts[0]: 0 for path in arguments.out.rglob("*")}
    for path in arguments.out.rglob("*"):
        if path.is_file():
            sizes[path.relative_to(arguments.out).parts[0]] += path.stat().st_size
    for name, size in sorted(sizes.items()):
        print(f"{name:20}{size / 1e6:8.2f} MB")
    print(f"{'in all':20}{sum(sizes.values()) / 1e6:8.2f} MB")


def settings(preset: str) -> Settings:
    shown, *others = bundled_clips()
    clips = [ClipEntry(str(clip.lq), gt=str(clip.gt)) for clip in others]
    # The clip that is shown is not learned from; it comes first, so that Compare opens with it.
    first = ClipEntry(str(shown.lq), learn=False, gt=str(shown.gt))
    return Settings(clips=(first, *clips), preset=preset)


def fill(project: Project) -> None:
    chosen, folder = project.content.settings, project.folder
    began = time.perf_counter()
    with Bar() as bar:
        analysis = analyze_job(chosen, folder)
        found = run(analysis, bar)
    print(f"analysis {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    job = quantize_job(chosen, project.run_folder(RUN), folder)
    with Bar() as bar:
        result = run(job, bar)
    seconds = time.perf_counter() - began
    print(f"quantization {seconds:.0f} s")
    record = RunRecord(RUN, "W4A4", job.to_json(), RunState.DONE, now(), seconds, result.to_json(), "", {})
    project.content = dataclasses.replace(
        project.content,
        analysis={"job": analysis.to_json(), "result": found.to_json(), "finished": now()},
        runs=(record,),
        view={"window": {"page": "compare"}},
    )
    project.save()
    show(project, str(result.to_json()["checkpoint"]))


def measure(project: Project) -> None:
    """Store each run's PSNR to full precision where the app stores it."""
    measured = []
    for record in project.content.runs:
        with Bar() as bar:
            score = run(score_job(project.content.settings, record), bar)
        figure = score.to_json()["psnr_fp"]
        print(f"{record.name}: {figure:.2f} dB to full precision")
        measured.append(dataclasses.replace(record, extra={**record.extra, "psnr_fp": figure}))
    project.content = dataclasses.replace(project.content, runs=tuple(measured))
    project.save()


def show(project: Project, checkpoint: str) -> None:
    """Thumbnails of all clips, and frames of the first one."""
    clips = project.content.settings.clips
    thumbnails = project.cache / "thumbnails"
    run(ProbeJob(clips=tuple(clip.path for clip in clips), thumbnails=str(thumbnails), pictures=8))
    clip = clips[0]
    frames = project.cache / "frames"
    began = time.perf_counter()
    with Bar() as bar:
        preview = run(
            PreviewJob(
                clip=clip.path,
                gt=clip.gt,
                versions=("lq", "bicubic", "fp", "gt", checkpoint),
                out=str(frames),
                frames=FRAMES,
                measure=True,
            ),
            bar,
        )
    print(f"frames {time.perf_counter() - began:.0f} s")
    store = FrameStore(frames)
    for key in preview.to_json()["keys"].values():
        compress(store.version(key))


if __name__ == "__main__":
    main()
