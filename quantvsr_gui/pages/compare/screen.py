"""What is to be seen: clip, versions, frame; and the pictures for it. No widgets."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from quantvsr.preview.keys import BICUBIC, FP, GT, LQ, Scene
from quantvsr.preview.store import ClipFacts
from quantvsr.project import ClipEntry
from quantvsr_gui.pages.compare.curves import FIGURES, Curve
from quantvsr_gui.pages.compare.frames import Frames, Picture
from quantvsr_gui.pages.compare.loupe import value_at
from quantvsr_gui.pages.compare.slot import Difference, Slot
from quantvsr_gui.pages.compare.state import View
from quantvsr_gui.pages.compare.versions import Version, key_of, missing_file

SCALE = 4
_ASK = "Not rendered yet\nPress R, or “Render here”"
_SOON = "Not rendered yet\nIt is being made"


class Screen:
    """The frame of a clip in several versions.

    Attributes:
        frames: The cache.
        clip: The clip; None while there is none.
        scene: What decides its frames.
        versions: All versions by id.
        chosen: Version of each slot.
        frame: Number in the clip.
        making: Versions that are being rendered now.
    """

    def __init__(self) -> None:
        self.frames = Frames()
        self.clip: ClipEntry | None = None
        self.scene: Scene | None = None
        self.versions: dict[str, Version] = {}
        self.chosen: dict[int, str] = {}
        self.frame = 0
        self.making: frozenset[str] = frozenset()
        self._facts: ClipFacts | None = None
        self._keys: dict[str, str] = {}
        self._values: dict[str, dict[str, dict[int, float]]] = {}
        self._last: dict[int, tuple[Version, int, Picture]] = {}

    def open_cache(self, folder: Path | None) -> None:
        """Take another project's cache."""
        self.frames = Frames(folder)
        self._forget()

    def show_clip(self, clip: ClipEntry | None, scene: Scene | None, versions: Mapping[str, Version]) -> None:
        """Show another clip, or the same one with other versions."""
        if scene != self.scene:
            self._forget()
        self.clip, self.scene, self.versions = clip, scene, dict(versions)
        # A run's files may have changed under the same path.
        self._keys.clear()
        self.chosen = {slot: each for slot, each in self.chosen.items() if each in self.versions}

    def look_again(self) -> None:
        """Files may have come, changed or gone."""
        self._keys.clear()
        self.frames.rescan()

    def _forget(self) -> None:
        self._facts = None
        self._keys.clear()
        self._values.clear()
        self._last.clear()

    # Facts

    def key(self, version: str) -> str:
        """Folder of a version's frames; empty where there can be none."""
        if version not in self._keys:
            known = self.versions.get(version)
            self._keys[version] = "" if known is None or self.scene is None else key_of(self.scene, known)
        return self.frames.folder(self._keys[version])

    @property
    def facts(self) -> ClipFacts | None:
        """Times and size of the clip; None until something of it was rendered."""
        store = self.frames.store
        key = self.key(LQ) if self._facts is None else ""
        if store is not None and key:
            self._facts = ClipFacts.read(store.folder / key)
        return self._facts

    def part(self) -> tuple[int, int]:
        """First frame and frame after the last of the part that is used."""
        first = self.clip.start if self.clip else 0
        last = self.clip.stop if self.clip else None
        known = self.facts.frames if self.facts else None
        ends = [end for end in (last, known) if end is not None]
        return first, max(min(ends) if ends else first + 1, first + 1)

    def size(self) -> tuple[int, int]:
        """Width and height of the large picture; zeros while unknown."""
        if self.facts is not None:
            return self.facts.width * SCALE, self.facts.height * SCALE
        sizes = [picture.size for _, _, picture in self._last.values()]
        return max(sizes, default=(0, 0))

    def rendered(self) -> set[int]:
        """Frames that all chosen versions have."""
        found = [set(self.frames.indices(self.key(each))) for each in self.chosen.values()]
        return set.intersection(*found) if found else set()

    # Pictures

    def slots(self, view: View) -> dict[int, Slot]:
        """What the canvas shows. A frame that is not there yet leaves the one before where it is."""
        found = {slot: self._slot(slot, self.versions[each]) for slot, each in sorted(self.chosen.items())}
        reference = found.get(view.reference)
        if view.difference == "off" or reference is None or reference.picture is None:
            return found
        return {
            number: _against(slot, reference.picture, view)
            if number != view.reference
            else replace(slot, note=_joined("reference", slot.note))
            for number, slot in found.items()
        }

    def missing(self, version: str) -> str:
        """Why a version cannot be shown, in a sentence; empty where nothing is in the way."""
        known = self.versions.get(version)
        if known is None or self.scene is None or self.key(version):
            return ""
        return missing_file(self.scene, known) or f"{known.label}: a file cannot be read"

    def _slot(self, number: int, version: Version) -> Slot:
        picture = self.frames.picture(self.key(version.id), self.frame)
        if picture is not None:
            self._last[number] = (version, self.frame, picture)
            return Slot(version.label, picture)
        last = self._last.get(number)
        reason = self.missing(version.id)
        making = version.source in self.making
        # A trial takes the place of its run: that one's picture stays until the trial's is whole.
        if (
            reason
            or last is None
            or not (last[0].id == version.id or (last[0].family == version.family and making))
        ):
            self._last.pop(number, None)
            return Slot(version.label, reason=reason or (_SOON if making else _ASK))
        _, frame, before = last
        again = "being rendered again" if making else "not rendered yet"
        note = again if frame == self.frame else f"still frame {frame + 1}"
        return Slot(version.label, before, note=note)

    def pixel_text(self, at: tuple[int, int] | None, slots: Mapping[int, Slot]) -> str:
        """Values of the pixel under the pointer in every version, and how they differ from the reference."""
        if at is None:
            return ""
        parts = [f"x {at[0]}  y {at[1]}"]
        for number, slot in slots.items():
            if slot.picture is None:
                continue
            values = value_at(slot.picture, at, self.size())
            words = " ".join(str(each) for each in values)
            if slot.difference is not None:
                others = value_at(slot.difference.reference, at, self.size())
                apart = (a - b for a, b in zip(values, others, strict=True))
                words += f" ({' '.join(f'{each:+d}' if each else '0' for each in apart)})"
            parts.append(f"{number + 1}  {words}")
        return "      ".join(parts)

    # Figures

    def references(self) -> dict[str, str]:
        """Versions that figures are measured against: id to label, best first."""
        return {each: self.versions[each].label for each in (GT, FP) if each in self.versions}

    def curves(self, figure: str, reference: str) -> list[Curve]:
        """The values of the chosen versions."""
        found = []
        guide = next(iter(self.references()), "")
        against = guide if figure == "warp_error" else reference
        for slot, each in sorted(self.chosen.items()):
            if each in (LQ, GT) or (figure != "warp_error" and each == reference):
                continue
            values = self._values_of(self.key(each)).get(f"{figure}/{self.key(against)}", {})
            found.append(Curve(self.versions[each].label, slot, values))
        return found

    def means(self, version: str) -> dict[str, float]:
        """Mean figures over the measured frames, such as `compare_psnr_gt`, and how many frames those are."""
        found: dict[str, float] = {}
        frames: set[int] = set()
        values = self._values_of(self.key(version))
        for reference in self.references():
            for name in (each.name for each in FIGURES):
                known = values.get(f"{name}/{self.key(reference)}", {})
                if known:
                    found[f"compare_{name}_{reference}"] = sum(known.values()) / len(known)
                    frames |= set(known)
        return {**found, "compare_frames": float(len(frames))} if found else {}

    def forget_values(self) -> None:
        """Read the figures again: more were measured."""
        self._values.clear()

    def _values_of(self, key: str) -> dict[str, dict[int, float]]:
        store = self.frames.store
        if store is None or not key:
            return {}
        if key not in self._values:
            self._values[key] = store.version(key).values()
        return self._values[key]

    def plain(self) -> list[str]:
        """Chosen versions that need no model."""
        return [each for each in dict.fromkeys(self.chosen.values()) if each in (LQ, BICUBIC, GT)]


def _against(slot: Slot, reference: Picture, view: View) -> Slot:
    """A slot as its difference from the reference, where there can be one."""
    if slot.picture is None:
        return slot
    if slot.picture.size != reference.size:
        return replace(slot, note=_joined("other size", slot.note))
    note = _joined(f"×{view.gain}", slot.note)
    return replace(slot, difference=Difference(reference, view.difference, view.gain), note=note)


def _joined(*notes: str) -> str:
    return ", ".join(note for note in notes if note)
