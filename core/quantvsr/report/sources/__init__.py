"""Results folders that a report can be made of; a new kind is a new file with one registered reader."""

from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.progress import Progress
from quantvsr.report.data import Report
from quantvsr.report.sources import comparison, model, project, sweep
from quantvsr.report.sources.reading import Source

# The first one that recognises a folder reads it: a comparison may hold a model as well.
SOURCES: tuple[Source, ...] = (project.SOURCE, sweep.SOURCE, comparison.SOURCE, model.SOURCE)


def read_folder(folder: Path, *, pictures: bool = True, progress: Progress | None = None) -> Report:
    """Read the results in a folder.

    Args:
        folder: A project, or what `sweep`, `compare`, `demo`, `quantize` or `analyze` wrote.
        pictures: Whether pictures are read as well.
        progress: Told of clips and versions.

    Raises:
        BadInput: There is no such folder, it holds no results, or they are damaged.
    """
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is no folder; give one that 'quantvsr sweep', 'compare' or 'quantize' wrote."
        )
    for source in SOURCES:
        if any((folder / name).is_file() for name in source.files):
            return source.read(folder, pictures, progress or Progress())
    wanted = ", ".join(source.files[0] for source in SOURCES)
    raise BadInput(
        f"{folder} holds no results ({wanted}); give a folder that 'quantvsr sweep', 'compare' or 'quantize' "
        "wrote."
    )
