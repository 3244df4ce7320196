"""Which file is which: the official set-up is several files, recognised by their keys, not by their names."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantvsr.errors import BadModel
from quantvsr.models.mgld.checkpoint import STRUCTURAL, TEXT, UNET
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.weights import Shapes, is_weight_file, read_json_object, read_shapes, weight_files

CONTEXT_FILE = "text_context.safetensors"
# What we compute and store ourselves is hidden: it does not change the hash of the model's folder.
COMPUTED_CONTEXT = f".{CONTEXT_FILE}"
CONTEXT_KEY = "context"
# A folder that `quantvsr convert` wrote; see `folder`.
CLASS_NAME, INDEX = "MGLDVSRPipeline", "model_index.json"
# Sizes of a model that is not the published one; the golden folders have theirs in index.json.
_DESCRIPTIONS = ("mgld.json", "index.json")

# Key conditions, first match counts.
_KINDS: dict[str, Callable[[Shapes], bool]] = {
    "main": lambda s: UNET + "input_blocks.0.0.weight" in s and STRUCTURAL + "input_blocks.0.0.weight" in s,
    "video": lambda s: (
        "encoder.conv_in.weight" in s and any(key.startswith("decoder.fusion_layer_") for key in s)
    ),
    "flow": lambda s: any(prefix + "fnet.conv1.weight" in s for prefix in ("", "module.")),
    "text": lambda s: TEXT + "token_embedding.weight" in s,
    "context": lambda s: set(s) == {CONTEXT_KEY},
}


@dataclass(frozen=True)
class ModelFiles:
    """The files of one MGLD-VSR.

    Attributes:
        folder: Where they lie.
        found: File by kind: `main` (UNet, structural encoder, first stage), `video` (video autoencoder),
            `flow` (RAFT), `text` (a file with the text tower), `context` (the constant made from it).
        shapes: Shapes of the tensors, by kind.
        unreadable: What is wrong with files that cannot be read.
    """

    folder: Path
    found: Mapping[str, Path]
    shapes: Mapping[str, Shapes]
    unreadable: tuple[str, ...] = ()

    def need(self, kind: str, name: str) -> Path:
        """The file of a kind.

        Raises:
            BadModel: There is none; `name` says which one the user should look for.
        """
        if kind not in self.found:
            if self.unreadable:
                raise BadModel(self.unreadable[0])
            raise BadModel(f"{self.folder} lacks {name} of MGLD-VSR; put it beside the other files.")
        return self.found[kind]


def find_files(path: Path) -> ModelFiles:
    """Look at the weight files in a folder, or at one file and those beside it; reads no weights.

    Raises:
        BadModel: A list of shards cannot be used.
    """
    folder = path if path.is_dir() else path.parent
    beside = weight_files(folder)
    # The file that was asked for comes first.
    chosen = [path] if is_weight_file(path) else []
    found: dict[str, Path] = {}
    shapes: dict[str, Shapes] = {}
    unreadable = []
    for file in [*chosen, *(p for p in beside if p not in chosen)]:
        try:
            held = read_shapes(file)
        except BadModel as error:
            held = {}
            unreadable.append(str(error))
        kind = next((name for name, test in _KINDS.items() if test(held)), None)
        if kind is not None and kind not in found:
            found[kind], shapes[kind] = file, held
        if file in chosen and kind not in ("main", "video"):
            break
    return ModelFiles(folder, found, shapes, tuple(unreadable))


def is_converted(path: Path) -> bool:
    """Whether a folder is one that `quantvsr convert` wrote."""
    return (read_json_object(path / INDEX) or {}).get("_class_name") == CLASS_NAME


def description_file(folder: Path) -> Path | None:
    """The file that describes the sizes of a model that is not the published one."""
    return next((folder / name for name in _DESCRIPTIONS if (folder / name).is_file()), None)


def read_config(folder: Path) -> MGLDConfig:
    """The sizes described in the folder; the published model's where nothing is described.

    Raises:
        BadModel: A description cannot be used.
    """
    file = description_file(folder)
    if file is None:
        return MGLDConfig()
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f"{file} does not describe a model ({error}); get it again.") from error
    return MGLDConfig.from_dict(values)
