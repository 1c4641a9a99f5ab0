"""What the comparisons share: running programs with their time and memory, the machine, Markdown tables."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time


class Ran:
    """A program that ended: its output, seconds, and the most memory it held (MiB, resident)."""

    def __init__(self, output, seconds, peak):
        self.output, self.seconds, self.peak = output, seconds, peak


def run(command, environment=None):
    """Runs a program to its end. Exits with its output if it fails."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode != 0:
        sys.exit(f"error: exit code {child.returncode} of {' '.join(command)}\n{text}")
    return Ran(text, seconds, usage.ru_maxrss / 1024)


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def versions(*packages):
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def preamble(title, text, bin_dir, packages):
    """The head of a generated page."""
    ours = run([bin_dir / "clx-eval", "--version"]).output.strip().splitlines()[0]
    return (
        f"# {title}\n\n{text}\n\n"
        f"- machine: {machine()}; its load when this began: {os.getloadavg()[0]:.1f}\n"
        f"- ours: {ours}\n"
        f"- theirs: Python {platform.python_version()}, {versions(*packages)}\n"
        f"- date: {datetime.date.today()}\n"
    )


def table(header, rows):
    """A Markdown table; the first column is text, the others are right-aligned."""
    lines = [header, ["-" if i == 0 else "-:" for i in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def significant(x, digits=3):
    """A number in few digits: 0.00123, 4.56e-07, 12.3."""
    return f"{x:.{digits}g}"


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
