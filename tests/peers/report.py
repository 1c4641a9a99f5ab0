"""What the comparisons share: running programs with their time and memory, the machine, Markdown tables."""

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


def run(command):
    """Runs a program to its end. Exits with its output if it fails."""
    command = [str(part) for part in command]
    with tempfile.TemporaryDirectory() as folder:
        output, figures = pathlib.Path(folder) / "output", pathlib.Path(folder) / "figures"
        # A new process counts the memory of the one it came from as its own: a small one has to start it.
        subprocess.run([sys.executable, "-S", __file__, output, figures, *command], check=True)
        code, seconds, peak = figures.read_text().split()
        text = output.read_text()
    if code != "0":
        sys.exit(f"error: exit code {code} of {' '.join(command)}\n{text}")
    return Ran(text, float(seconds), float(peak) / 1024)


def measure(output, figures, *command):
    """Runs a program and notes its exit code, seconds and peak KiB."""
    with open(output, "w") as file:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
    pathlib.Path(figures).write_text(f"{child.returncode} {seconds} {usage.ru_maxrss}")


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def versions(*packages):
    import importlib.metadata

    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def preamble(title, text, bin_dir, packages):
    """The head of a generated page."""
    import datetime

    ours = run([bin_dir / "clx-eval", "--version"]).output.strip().splitlines()[0]
    theirs = f"- theirs: Python {platform.python_version()}, {versions(*packages)}\n" if packages else ""
    return (
        f"# {title}\n\n{text}\n\n"
        f"- machine: {machine()}; its load when this began: {os.getloadavg()[0]:.1f}\n"
        f"- ours: {ours}\n"
        f"{theirs}"
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


if __name__ == "__main__":
    measure(*sys.argv[1:])
