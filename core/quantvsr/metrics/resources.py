"""What some metrics need besides frames: weight files, packages, a device. Nothing is downloaded unasked."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quantvsr.errors import BadInput

_NOWHERE = "http://127.0.0.1:9"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_OFFLINE = {
    **dict.fromkeys(_PROXIES, _NOWHERE),
    "no_proxy": "",
    "NO_PROXY": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


class MissingMetric(BadInput):
    """A metric whose package or weights are not on this machine; the others can still be computed."""


def _weights_folder() -> Path | None:
    given = os.environ.get("QUANTVSR_WEIGHTS")
    return Path(given).expanduser() if given else None


@dataclass(frozen=True)
class Resources:
    """Where metrics find what they need.

    Attributes:
        weights: Folder with weight files that the user put there; `QUANTVSR_WEIGHTS` unless given.
        device: Where networks run.
        download: Whether packages may fetch their weights.
    """

    weights: Path | None = field(default_factory=_weights_folder)
    device: str = "cpu"
    download: bool = False

    def weight_file(self, name: str, metric: str, source: str) -> Path:
        """A weight file in the user's folder.

        Args:
            name: Its file name.
            metric: Who needs it, for the message.
            source: Where it is published and its licence, for the message.

        Raises:
            MissingMetric: It is not there.
        """
        place = None if self.weights is None else self.weights / name
        if place is None or not place.is_file():
            where = "a folder named by --weights or QUANTVSR_WEIGHTS" if place is None else str(self.weights)
            raise MissingMetric(f"{metric} is left out: put {name} ({source}) into {where}.")
        return place

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """While packages load: no way out to the network, unless downloading was asked for.

        Packages have switches of their own for this, each another one; all of them heed a proxy that
        nobody answers.
        """
        if self.download:
            yield
            return
        before = {name: os.environ.get(name) for name in _OFFLINE}
        os.environ.update(_OFFLINE)
        try:
            # Some announce a download before they try; it would not be true.
            with contextlib.redirect_stderr(io.StringIO()):
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
