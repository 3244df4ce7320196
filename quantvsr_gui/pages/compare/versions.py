"""Which versions of a clip a project has, and where their frames are in the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.preview.keys import BICUBIC, FP, GT, LQ, Scene, version_key
from quantvsr.project import ClipEntry, RunRecord, Settings
from quantvsr_gui.pages.compare.trials import Trial

_TITLES = {
    LQ: "Low-quality input",
    BICUBIC: "Bicubic",
    FP: "Full precision",
    GT: "Ground truth",
}
_RUN = "run:"


@dataclass(frozen=True)
class Version:
    """One way to show the clip.

    Attributes:
        id: `lq`, `bicubic`, `fp`, `gt`, `run:ID`, or `trial:ID:NUMBER`.
        label: For people.
        source: As `PreviewJob.versions` takes it.
        run: Id of the run; empty for the others.
        trial: Whether some layers of the run were changed for a try.
    """

    id: str
    label: str
    source: str
    run: str = ""
    trial: bool = False

    @property
    def family(self) -> str:
        """The same for a run and its trials."""
        return self.run or self.id


def scene_of(settings: Settings, clip: ClipEntry) -> Scene:
    """What is rendered of a clip of a project."""
    return Scene(clip.path, clip.start, clip.stop, clip.gt, settings.model, settings.seed, settings.steps)


def checkpoint_of(run: RunRecord) -> str:
    """Path of a run's checkpoint; empty where it has none."""
    return str(run.result.get("checkpoint") or "")


def offered(runs: Sequence[RunRecord]) -> tuple[tuple[str, str, str], ...]:
    """What a page shows of finished runs: it only has to look again when this changes."""
    return tuple((run.id, run.name, checkpoint_of(run)) for run in runs)


def run_version(run: str) -> str:
    """Id of the version that shows a run."""
    return _RUN + run


def versions_of(
    clip: ClipEntry, runs: Sequence[RunRecord], trials: Sequence[Trial] = ()
) -> dict[str, Version]:
    """All versions of a clip, by id, in the order in which they are offered.

    Args:
        clip: The clip.
        runs: Finished runs.
        trials: Offered behind their runs.
    """
    plain = [LQ, BICUBIC, FP, *([GT] if clip.gt else [])]
    found = [Version(each, _TITLES[each], each) for each in plain]
    for run in runs:
        checkpoint = checkpoint_of(run)
        if not checkpoint:
            continue
        found.append(Version(run_version(run.id), run.name, checkpoint, run.id))
        found += [
            Version(trial.id, trial.label(run.name), trial.checkpoint, run.id, trial=True)
            for trial in trials
            if trial.run == run.id
        ]
    return {version.id: version for version in found}


def first_choice(versions: Mapping[str, Version]) -> dict[int, str]:
    """What a person most likely wants to see first: the newest run beside full precision and the input."""
    runs = [version.id for version in versions.values() if version.run and not version.trial]
    wanted = [LQ, FP, *runs[-1:], *([GT] if GT in versions else [])]
    return dict(enumerate(wanted[:4]))


def key_of(scene: Scene, version: Version) -> str:
    """What a version's frames are; empty where its files are not there (any more)."""
    try:
        return version_key(scene, version.source)
    except OSError:
        return ""


def missing_file(scene: Scene, version: Version) -> str:
    """Why a version cannot be shown, in a sentence: a file that went away; empty where all are there."""
    if version.id == GT:
        needed = [("The ground truth", scene.gt or "")]
    else:
        needed = [("The clip", scene.clip)]
        if version.run:
            needed.append(("The checkpoint", version.source))
    for what, path in needed:
        if not Path(path).expanduser().exists():
            return f"{what} is not where it was: {path}"
    return ""


def as_slots(value: Any) -> dict[int, str]:
    """Slots as a project's view keeps them (`{"0": "lq"}`); what is not usable is left out."""
    if not isinstance(value, dict):
        return {}
    return {
        int(slot): str(version)
        for slot, version in value.items()
        if str(slot).isdigit() and int(slot) < 4 and isinstance(version, str)
    }


def cache_folder(project: Path) -> Path:
    """Where frames are, given the project's cache."""
    return project / "frames"
