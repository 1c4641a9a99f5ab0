"""Times training and inference on the CPU beside PyTorch.

    python bench_cpu.py --bin DIR [--output FILE] [--arch NAME …] [--precision NAME …] [--rounds N]

torch_train.py, the PyTorch step that a user would write, is run in each of its memory layouts; --bin has the built
programs. Both sides take turns, each measurement in a process of its own, so that the most memory a
process held is its own, too. Nothing else should run on the machine.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import report

# Images in a batch: that of clx-bench's rows, and others that PyTorch may prefer.
BATCHES = {"resnet18-cifar": (128, 64), "resnet50": (32,)}
AIMS = {
    ("resnet18-cifar", "train", "f32"): 1.7,
    ("resnet18-cifar", "train", "bf16"): 1.2,
    ("resnet18-cifar", "infer", "f32"): 2,
    ("resnet18-cifar", "infer", "bf16"): 1.3,
    ("resnet50", "train", "f32"): 1.3,
    ("resnet50", "train", "bf16"): 1.2,
    ("resnet50", "infer", "f32"): 1.3,
    ("resnet50", "infer", "bf16"): 1.3,
}
ROWS = {"train": "training_step", "infer": "inference"}
LAYOUTS = ("nchw", "nhwc")
# What functions belong to: the first pattern that their names match. Generated code without a name is oneDNN's.
KINDS = (
    ("products of tiles (Winograd, linear, strided weight gradients)", r"multiply_block|multiply_tile"),
    ("Winograd's transforms", r"winograd|transform"),
    ("direct convolutions (oneDNN)", r"^0x|dnnl"),
    ("batch-norm with ReLU and residual", r"batchnorm|chunk_statistics|sum_rows|combine"),
    ("pooling, sums, ReLU", r"pool|::add\(|relu"),
    ("optimizer", r"update_|sgd|momentum"),
    ("filters into other layouts, sums of partial gradients", r"filter|backward_weight|convert"),
    ("the system (memory's first touch, scheduling)", r"^\[k\]"),
    ("waiting for the other thread", r"ThreadPool|clock_gettime|yield"),
)
NEXT = """
## What would be next

- bf16 weight gradients by Winograd's algorithm: their products are f32, at half the rate of the 16-bit fixed-point
  numbers that forward passes and data gradients have; pairs would be of tiles, not of channels.
- 3×3 convolutions with stride 2, now direct: as four convolutions of the phases of the image, each by Winograd's
  algorithm, 81 products instead of 144 for 16 outputs, but with 2.25 times as many numbers to transform.
- 512 channels on 4×4 positions: each thread reads all transformed filters; the threads could share them out instead.
- batch-norm's statistics in the epilogue of the convolution: one pass over the activations less in each direction.
"""


class Measured:
    """Images per second of each round, and the most memory in MiB."""

    def __init__(self):
        self.rates, self.peak = [], 0

    def add(self, rate, peak):
        self.rates.append(rate)
        self.peak = max(self.peak, peak)

    def median(self):
        return report.median(self.rates)

    def spread(self):
        return f"{min(self.rates):.3g} … {max(self.rates):.3g}"


def table_of(bin_dir, pattern, *flags):
    """What the rows of clx-bench that match say, and the process."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "table.md"
        command = [bin_dir / "clx-bench", "--device", "cpu", "--benchmark-filter", pattern, "--markdown", file, *flags]
        ran = report.run(command)
        lines = [line for line in file.read_text().splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(cells[0], row)) for row in cells[2:]], ran


def ours(a, arch, mode, precision):
    """Images per second, of results that were checked, and the memory of a process that only computes."""
    pattern = f"^{arch}_{ROWS[mode]}/cpu/N{BATCHES[arch][0]}_{precision}$"
    flags = ["--benchmark-repetitions", a.repetitions, "--benchmark-min-time", a.min_time]
    rows, _ = table_of(a.bin, pattern, *flags)
    _, alone = table_of(a.bin, pattern, "--bare", "--benchmark-repetitions", 2, "--benchmark-min-time", 0)
    return float(rows[0]["images/s"]), alone.peak


def theirs(a, arch, mode, precision, layout, batch):
    command = [sys.executable, pathlib.Path(__file__).with_name("torch_train.py"), "--arch", arch, "--batch", batch, "--mode", mode]
    command += ["--precision", precision, "--layout", layout, "--repeats", a.repetitions, "--steps", a.steps]
    ran = report.run(command)
    found = re.search(r"([\d.]+) img/s", ran.output)
    return float(found[1]), ran.peak


def comparison(a):
    rows = []
    for arch in a.arch:
        for mode in ("train", "infer"):
            for precision in a.precision:
                us = Measured()
                them = {(layout, batch): Measured() for layout in LAYOUTS for batch in BATCHES[arch]}
                for _ in range(a.rounds):
                    us.add(*ours(a, arch, mode, precision))
                    for (layout, batch), measured in them.items():
                        measured.add(*theirs(a, arch, mode, precision, layout, batch))
                (layout, batch), best = max(them.items(), key=lambda item: item[1].median())
                same = them[layout, BATCHES[arch][0]]
                rows.append(
                    [
                        f"{arch}, {mode}, {precision}",
                        f"{us.median():.4g}",
                        us.spread(),
                        f"{us.peak:.0f} MiB",
                        f"{best.median():.4g}",
                        best.spread(),
                        f"{same.peak:.0f} MiB",
                        f"{layout}, B={batch}",
                        f"{us.median() / best.median():.2f}×",
                        f"{AIMS[arch, mode, precision]}×",
                    ]
                )
    header = ["network", "ours, images/s", "range", "peak", "PyTorch, images/s", "range", "peak", "at", "ratio", "aim"]
    return (
        "\n## Networks\n\nThe whole step: forward, cross-entropy, backward, SGD with momentum; or the forward alone. "
        "PyTorch is its better memory layout and batch, whose name stands beside it. Peaks are resident memory of "
        "processes that only compute, both with our batch.\n\n" + report.table(header, rows)
    )


def operations(a):
    """Where the time goes: every operation against what the machine can do."""
    pattern = "^(conv2d_|batchnorm|matmul|linear|add|sgd)"
    rows, _ = table_of(a.bin, pattern, "--benchmark-repetitions", a.repetitions, "--benchmark-min-time", a.min_time)
    header = ["what", "median", "rate", "of peak"]
    return (
        "\n## Operations against the roofline\n\nOf clx-bench: the peaks are a large matrix product and a large copy in "
        "the same run. Convolutions by Winograd's algorithm do fewer multiplications than they are credited with, so they "
        "exceed the peak.\n\n" + report.table(header, [[row[h] for h in header] for row in rows])
    )


def shares(a, arch, mode, precision):
    """Per kind of function the share of processor time, from perf's samples; None without perf."""
    pattern = f"^{arch}_{ROWS[mode]}/cpu/N{BATCHES[arch][0]}_{precision}$"
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "perf.data"
        command = ["perf", "record", "-q", "-F", "499", "-o", data, a.bin / "clx-bench", "--device", "cpu"]
        command += ["--benchmark-filter", pattern, "--benchmark-repetitions", "1", "--benchmark-min-time", "8"]
        if subprocess.run([str(part) for part in command], capture_output=True).returncode:
            return None
        command = ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    counts = dict.fromkeys([kind for kind, _ in KINDS] + ["other"], 0)
    for line in lines:
        address, name = line.split(maxsplit=1)
        if re.search("random_tensor|Initializer|measure_peaks|memmove|drawn", name):
            continue  # before the steps
        if "kernel" in name.rsplit("(", 1)[-1]:
            name = "[k] " + name
        elif name.startswith("[unknown]"):
            name = "0x" + address
        counts[next((kind for kind, p in KINDS if re.search(p, name)), "other")] += 1
    return {kind: count / max(1, sum(counts.values())) for kind, count in counts.items()}


def profile(a):
    """Where the steps' time goes."""
    if not shutil.which("perf"):
        return "\n## Where the time goes\n\nperf is not installed.\n"
    cases = [(arch, mode, p) for arch in a.arch for mode in ("train", "infer") for p in a.precision]
    found = {case: shares(a, *case) for case in cases}
    found = {case: share for case, share in found.items() if share}
    rows = [[kind, *(f"{100 * share[kind]:.1f} %" for share in found.values())] for kind in [k for k, _ in KINDS] + ["other"]]
    return (
        "\n## Where the time goes\n\nShares of the processors' time, from samples of perf. The operations below say how "
        "far from the roofline each is.\n\n" + report.table(["", *(", ".join(case) for case in found)], rows)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/benchmarks/cpu.md"))
    parser.add_argument("--arch", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--precision", nargs="+", choices=["f32", "bf16"], default=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3, help="of each side in a round")
    parser.add_argument("--steps", type=int, default=2, help="that PyTorch takes in one repetition")
    parser.add_argument("--min-time", type=float, default=1, help="seconds of one of our repetitions")
    parser.add_argument("--only", choices=["networks", "profile", "operations"])
    a = parser.parse_args()
    text = report.preamble(
        "Training and inference on the CPU beside PyTorch",
        "Written by tests/peers/bench_cpu.py. Medians and ranges of rounds in which both sides take turns.",
        a.bin,
        ("torch", "torchvision", "numpy"),
    )
    for name, part in (("networks", comparison), ("profile", profile), ("operations", operations)):
        if a.only in (None, name):
            text += part(a)
            a.output.write_text(text)  # what took long is there if a later part fails
    report.write(a.output, text + NEXT)


if __name__ == "__main__":
    main()
