"""How much memory a training took: RAMP's own measure where it was profiled, else the machine's."""

import re
from pathlib import Path

PROFILE = "mprof.dat"  # what mprof writes: a line `MEM <MiB> <time>` for every sample
_MOST_LINES = 5_000_000  # ten samples a second for almost six days
_SAMPLE = re.compile(rb"MEM (\d{1,12}(?:\.\d{1,12})?) [\d.]+\s*")


def peak_memory(results: Path | None, measured: float | None) -> float | None:
    """MiB: the highest of mprof's samples, as ramp-backend took it, else what the host saw."""
    return (profiled(results / PROFILE) if results else 0.0) or measured


def profiled(file: Path) -> float:
    """The highest sample that mprof took, in MiB; 0 if it took none that can be read. Other people's file: bounded."""
    peak = 0.0
    try:
        with file.open("rb") as stream:
            for _ in range(_MOST_LINES):
                line = stream.readline(200)
                if not line:
                    break
                match = _SAMPLE.fullmatch(line)
                peak = max(peak, float(match[1])) if match else peak
    except OSError:
        return 0.0
    return peak
