"""Times the contrastive losses and the input pipelines beside PyTorch and torchvision.

    python bench_losses.py --peers DIR --data DIR --bin DIR [--output FILE] [--only losses|pipelines]

--peers has losses_and_data.py, which times the textbook losses (each size in a process of its own) and torchvision's
transforms with two worker processes; --data has cifar-10-batches-bin and imagenette224; --bin the built programs.
Both sides take turns. Nothing else should run on the machine.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile

import report

SUPCON, TRIPLET = (1024, 8192, 65536), (512, 2048, 8192)
# What torchvision does: the row of theirs, of ours, and how many times faster ours is to be.
PIPELINES = (
    ("CIFAR-10, crop and flip", "cifar crop+flip", "augment_crop_flip/cpu/.*f32", 5),
    ("CIFAR-10, contrastive", "cifar contrastive", "augment_contrastive/cpu/.*f32", 5),
    ("JPEG, random resized crop and flip", "folder RRC224+flip", "files_crop_flip/cpu/50x1", 1.3),
    ("JPEG, contrastive", "folder contrastive", "files_contrastive/cpu/50x1", 1.3),
    ("JPEG, resize and centre crop", "folder resize256 centre224", "files_resize_centre/cpu/50x1", 1.3),
    ("packed, random resized crop and flip", "folder RRC224+flip", "packed_crop_flip/cpu/50x1", 10),
    ("resident 224×224, resized crop and flip", "folder RRC224+flip", "augment_resized_crop_flip/cpu/.*f32", 10),
)
PREFIXES = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1, "m": 1e-3, "µ": 1e-6}


class Row:
    """One row of clx-bench."""

    def __init__(self, seconds, memory, rate):
        self.seconds, self.memory, self.rate = seconds, memory, rate


def ours(a, pattern, *flags):
    """The rows of clx-bench whose names match."""
    with tempfile.TemporaryDirectory() as folder:
        table, timings = pathlib.Path(folder) / "table.md", pathlib.Path(folder) / "timings.json"
        command = [a.bin / "clx-bench", "--device", "cpu", "--benchmark-filter", pattern, *flags]
        report.run([*command, "--benchmark-repetitions", 3, "--markdown", table, "--benchmark-out", timings])
        runs = json.loads(timings.read_text())["benchmarks"]
        cells = [[c.strip() for c in line.split("|")[1:-1]] for line in table.read_text().splitlines() if "|" in line]
    rows = {}
    for row in cells[2:]:
        named = dict(zip(cells[0], row))
        number, unit = named["memory"].split()
        name = named["what"]
        seconds = [
            1e-9 * r["real_time"] for r in runs if r.get("run_type") == "iteration" and r["name"].startswith(name)
        ]
        memory = float(number) * PREFIXES[unit[:-1]] / 2**20
        rows[name] = Row(report.median(seconds), memory, float(named["images/s"] or 0))
    return rows


def their_losses(a, kind, size):
    """Seconds and MiB of one loss, or None where memory or time did not suffice."""
    other = "--triplet" if kind == "supcon" else "--supcon"
    output = report.run([sys.executable, a.peers / "losses_and_data.py", "losses", f"--{kind}", size, other]).output
    found = re.search(r"([\d.]+) s fwd\+bwd, \+(\d+) MiB", output)
    return (float(found[1]), float(found[2])) if found else None


def spread(values, form=".3g"):
    return f"{min(values):{form}} … {max(values):{form}}"


def losses(a):
    rows = []
    for kind, sizes, limit in (("supcon", a.supcon, a.their_supcon), ("triplet", a.triplet, a.their_triplet)):
        for size in sizes:
            us, them = [], []
            for _ in range(a.rounds):
                us += ours(a, f"^{kind}_and_gradient/cpu/N{size}_").values()
                if size <= limit and (found := their_losses(a, kind, size)):
                    them.append(found)
            seconds = report.median([r.seconds for r in us])
            row = [f"{kind}, {size}", f"{seconds:.3g} s", spread([r.seconds for r in us]), f"{us[0].memory:.3g} MiB"]
            if them:
                theirs = report.median([t[0] for t in them])
                memory = report.median([t[1] for t in them])
                row += [
                    f"{theirs:.3g} s",
                    spread([t[0] for t in them]),
                    f"{memory:.0f} MiB",
                    f"{theirs / seconds:.1f}×",
                ]
            else:
                row += ["–", "–", "–", "–"]
            rows.append(row)
    header = ["loss, embeddings", "ours", "range", "memory", "PyTorch", "range", "memory", "ratio"]
    return (
        "\n## Losses\n\nLoss and gradient of 128-dimensional embeddings of 10 classes. Ours is the median of "
        "clx-bench's repetitions, its memory what an execution takes beside the embeddings. PyTorch is the textbook "
        "formula with the matrix of similarities (SupCon) or the tensor of all triplets, the fastest of three "
        "executions, its memory the growth of the process; a dash where it was not tried or had not enough memory.\n\n"
        + report.table(header, rows)
    )


def pipelines(a):
    us, them = {}, {}
    for _ in range(a.rounds):
        command = [sys.executable, a.peers / "losses_and_data.py", "pipeline"]
        command += ["--cifar", a.data / "cifar-10-batches-bin" / "data_batch_1.bin"]
        output = report.run([*command, "--folder", a.data / "imagenette224" / "train"]).output
        for name, rate in re.findall(r"^(.*?) +(\d+) img/s", output, re.M):
            them.setdefault(name, []).append(float(rate))
        pattern = "^(" + "|".join(p[2] for p in PIPELINES) + ")$"
        for name, row in ours(a, pattern, "--image-folder", a.data / "imagenette224").items():
            us.setdefault(name, []).append(row.rate)
    rows = []
    for what, theirs, pattern, target in PIPELINES:
        rate = next(rates for name, rates in us.items() if re.fullmatch(pattern, name))
        ratio = report.median(rate) / report.median(them[theirs])
        rows.append(
            [
                what,
                f"{report.median(rate):.0f}",
                spread(rate, ".0f"),
                f"{report.median(them[theirs]):.0f}",
                spread(them[theirs], ".0f"),
                f"{ratio:.1f}×",
                f"{target}×" if target else "",
            ]
        )
    header = ["pipeline", "ours, images/s", "range", "torchvision, images/s", "range", "ratio", "aim"]
    return (
        "\n## Input pipelines\n\nBatches ready for the network, normalised. Ours uses as many threads as there are "
        "cores; torchvision two worker processes and Pillow. Packed and resident images need no decoding; they stand "
        "beside torchvision's reading of the same JPEG files.\n\n" + report.table(header, rows)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default="docs/benchmarks/losses-and-data.md")
    parser.add_argument("--only", choices=["losses", "pipelines"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--supcon", type=int, nargs="*", default=SUPCON)
    parser.add_argument("--triplet", type=int, nargs="*", default=TRIPLET)
    parser.add_argument("--their-supcon", type=int, default=8192, help="the largest size PyTorch is given")
    parser.add_argument("--their-triplet", type=int, default=512, help="the same; 1024 takes 13 GiB")
    a = parser.parse_args()
    text = report.preamble(
        "Losses and input pipelines beside PyTorch",
        "Written by tests/peers/bench_losses.py. Medians and ranges of rounds in which both sides take turns.",
        a.bin,
        ("torch", "torchvision", "numpy", "pillow"),
    )
    if a.only != "pipelines":
        text += losses(a)
    if a.only != "losses":
        text += pipelines(a)
    report.write(a.output, text)


if __name__ == "__main__":
    main()
