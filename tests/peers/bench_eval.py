"""Times a whole evaluation of explanations beside the published loop and beside batched PyTorch, on ResNet-18.

    python bench_eval.py --peers DIR --data DIR --bin DIR [--output FILE] [--images N] [--rounds N]

--peers has evaluate.py: --how reference is one image at a time with pytorch-grad-cam, Quantus and scikit-image, --how
batched the same numbers as fast as plain batched PyTorch gives them. --data has cifar-10-batches-bin, --bin the built
programs. All see the same images, weights and noise and compute the same metrics; they take turns. Nothing else should
run on the machine. The peak memory over many maps follows with a ResNet-20.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile

import numpy as np
import pandas

import libraries
import report

METRICS = ("pf", "continuity", "contrastivity", "complexity", "sparseness")
NUMBERS = 1e-3  # of the mean of each column, f32 sides


def our_name(name):
    """torchvision's name of a parameter of evaluate.py's ResNet-18."""
    block = re.match(r"body\.(\d+)\.(.*)", name)
    if not block:
        return name.replace("linear.", "fc.")
    index = int(block[1])
    return f"layer{1 + index // 2}.{index % 2}.{block[2].replace('shortcut', 'downsample')}"


def make_weights(a, work):
    """One network under the names of both sides."""
    import evaluate
    from safetensors.torch import save_file

    how = argparse.Namespace(
        model="resnet18-cifar", weights=None, data=str(a.test_batch), first=0, limit=64, norm="imagenet"
    )
    model, x, _ = evaluate.load(how)
    libraries.calibrate(model, x)
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(weights, work / "theirs.safetensors")
    save_file({our_name(k): v for k, v in weights.items()}, work / "ours.safetensors")


class Side:
    """One way to evaluate: seconds per image and peak MiB of every round, and its last scores."""

    def __init__(self, name, flags, ours=False):
        self.name, self.flags, self.ours = name, flags, ours
        self.seconds, self.peaks, self.scores = [], [], {}

    def run(self, a, work, images):
        folder = work / self.name.replace(" ", "-").replace(",", "")
        common = ["--limit", images]
        if self.ours:
            mean, std = (",".join(map(str, v)) for v in libraries.IMAGENET)
            command = [a.bin / "clx-eval", "--arch", "resnet18-cifar", "--checkpoint", work / "ours.safetensors"]
            command += ["--dataset", "cifar10", "--data-dir", a.test_batch.parent, "--mean", mean, "--std", std]
            command += ["--protocol", "reference", "--controls", "none", "--noise", work / "noise.npy", "--quiet"]
            command += ["--device", "cpu", "--overwrite", "--output-dir", folder]
        else:
            command = [sys.executable, a.peers / "evaluate.py", "--model", "resnet18-cifar", "--out", folder]
            command += ["--weights", work / "theirs.safetensors", "--data", a.test_batch]
        ran = report.run([*command, *common, *self.flags])
        seconds = json.loads((folder / "summary.json").read_text())["seconds"]
        if self.ours:
            seconds = seconds["total"]
        else:
            (work / "noise.npy").write_bytes((folder / "noise.npy").read_bytes())
        self.seconds.append(seconds / images)
        self.peaks.append(ran.peak)
        self.scores = {}
        for metric in METRICS:
            table = pandas.read_csv(folder / f"{metric}_scores.csv")
            self.scores.update({key: table[key] for key in table.columns if re.match("(GradCAM|EigenCAM)_", key)})
        print(f"{self.name}: {seconds / images:.4f} s an image, {ran.peak:.0f} MiB", file=sys.stderr, flush=True)


def sides(a):
    result = [Side("published loop", ["--how", "reference"])]
    for batch in a.batch:
        result.append(Side(f"batched PyTorch, f32, batch {batch}", ["--how", "batched", "--batch", batch]))
    for batch in a.batch:
        flags = ["--how", "batched", "--batch", batch, "--precision", "bf16"]
        result.append(Side(f"batched PyTorch, bf16, batch {batch}", flags))
    result.append(Side("clx-eval, f32", [], ours=True))
    result.append(Side("clx-eval, bf16", ["--precision", "bf16"], ours=True))
    return result


def speed(a, work):
    make_weights(a, work)
    all_sides = sides(a)
    for _ in range(a.rounds):
        for side in all_sides:
            side.run(a, work, a.images)
    loop = all_sides[0]
    time = lambda s: report.median(s.seconds)
    best = {p: min((s for s in all_sides[1:] if not s.ours and p in s.name), key=time) for p in ("f32", "bf16")}
    rows = []
    for s in all_sides:
        ratios = [f"{time(loop) / time(s):.1f}×"]
        ratios += [f"{time(best[p]) / time(s):.2f}×" if p in s.name else "" for p in best]
        spread = f"{min(s.seconds):.4f} … {max(s.seconds):.4f}"
        rows.append([s.name, f"{time(s):.4f}", spread, *ratios, f"{max(s.peaks):.0f}"])
    header = ["", "s per image", "range", "× published loop", "× best f32", "× best bf16", "peak MiB"]
    text = f"\n## Speed\n\n{a.images} images of CIFAR-10, medians of {a.rounds} rounds.\n\n" + report.table(
        header, rows
    )

    rows, broken = [], []
    for key in loop.scores:
        row = [key, f"{loop.scores[key].mean():.6f}"]
        for s in all_sides[1:]:
            difference = abs(s.scores[key].mean() - loop.scores[key].mean())
            row.append(f"{difference:.1g}")
            # The other class of contrastivity is drawn otherwise.
            if "f32" in s.name and "Contrastivity" not in key and difference > NUMBERS:
                broken.append(f"{s.name}, {key}: {difference:.2g}")
        rows.append(row)
    text += (
        "\n## The same numbers\n\nMeans over the images, and how far the means of the others are from it. Contrastivity "
        "is with another class, drawn otherwise by clx-eval; bf16 is of all convolutions in clx-eval and of pixel "
        "flipping's in PyTorch.\n\n" + report.table(["mean", loop.name, *(s.name for s in all_sides[1:])], rows)
    )
    return text, broken


def memory(a, work):
    (weights,) = (a.data / "resnet20-cifar10").glob("*.safetensors")
    mean, std = (",".join(map(str, v)) for v in libraries.IMAGENET)
    rows = []
    for images in a.flat:
        command = [a.bin / "clx-eval", "--arch", "resnet20", "--checkpoint", weights, "--dataset", "cifar10", "--quiet"]
        command += ["--data-dir", a.test_batch.parent, "--mean", mean, "--std", std, "--limit", images]
        command += ["--protocol", "reference", "--controls", "none", "--pf-step", 256, "--device", "cpu", "--overwrite"]
        ran = report.run([*command, "--output-dir", work / "flat"])
        rows.append([images, 2 * images, f"{ran.peak:.0f}", f"{ran.seconds:.1f}"])
    return (
        "\n## Memory over many maps\n\nclx-eval, all metrics on ResNet-20 with 256 pixels a step. The images themselves "
        "are resident: 3 KiB each.\n\n" + report.table(["images", "maps", "peak MiB", "seconds"], rows)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default="docs/benchmarks/evaluation.md")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512, 2048], help="of batched PyTorch")
    parser.add_argument("--flat", type=int, nargs="*", default=[1000, 10000], help="images of the memory check")
    a = parser.parse_args()
    a.test_batch = a.data / "cifar-10-batches-bin" / "test_batch.bin"
    sys.path.insert(0, str(a.peers))
    text = report.preamble(
        "Evaluation beside Python",
        "Written by tests/peers/bench_eval.py. Pixel flipping, continuity, contrastivity, complexity and sparseness of "
        "Grad-CAM and Eigen-CAM maps. Seconds are those of the evaluation on all sides: without the start of Python or of "
        "clx-eval, without reading images and weights. Peak memory is each process's largest resident set.",
        a.bin,
        ("torch", "grad-cam", "quantus", "scikit-image", "numpy"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        numbers, broken = speed(a, pathlib.Path(scratch))
        text += numbers + memory(a, pathlib.Path(scratch))
    report.write(a.output, text)
    for line in broken:
        print(f"numbers differ: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
