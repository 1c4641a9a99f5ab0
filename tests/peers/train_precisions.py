"""Trains the same network with direct f32 convolutions, with Winograd's algorithm and in bf16, and compares accuracies.

    python train_precisions.py --data DIR --bin DIR [--runs DIR] [--seeds N ...] [--epochs N] [--output FILE]

--data is cifar-10-batches-bin. Finished runs that --runs has are not repeated. About ten minutes a run on two cores; needs
no library but Python's own.
"""

import argparse
import json
import pathlib

import report

RECIPE = pathlib.Path(__file__).parents[2] / "configs/cpu/cifar10_ce.toml"
WAYS = {
    "f32, direct": ("f32", "direct"),
    "f32, Winograd": ("f32", "auto"),
    "bf16, Winograd": ("bf16", "auto"),
}


def train(a, precision, conv):
    """Trains each seed, unless only finished runs are wanted, and returns what clx-train noted of their epochs."""
    folder = a.runs / f"{precision}-{conv}"
    if not a.finished:
        command = [a.bin / "clx-train", "--config", RECIPE, "--data-dir", a.data, "--epochs", a.epochs, "--quiet"]
        command += ["--device", "cpu", "--precision", precision, "--conv", conv]
        report.run([*command, "--seeds", ",".join(map(str, a.seeds)), "--output-dir", folder])
    histories = {}
    for seed in a.seeds:
        metrics = folder / f"seed{seed}" / "metrics.jsonl"
        epochs = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
        if len(epochs) == a.epochs:
            histories[seed] = epochs
    return histories


def percent(epochs):
    return f"{100 * epochs[-1]['test_accuracy']:.2f} %" if epochs else "not run"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, default="runs/precisions")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--finished", action="store_true", help="train nothing: a page of the runs that are there")
    parser.add_argument("--output", type=pathlib.Path, default="docs/benchmarks/precisions.md")
    a = parser.parse_args()

    runs = {way: train(a, *how) for way, how in WAYS.items()}
    text = report.preamble(
        "Accuracy by precision and algorithm",
        f"Written by tests/peers/train_precisions.py. ResNet-20 on CIFAR-10 by {RECIPE.name}, {a.epochs} epochs; the "
        "same images in the same order for all three of a seed.",
        a.bin,
        (),
    )
    text += "\n## Test accuracy after the last epoch\n\n"
    rows = []
    for way in WAYS:
        last = [100 * epochs[-1]["test_accuracy"] for epochs in runs[way].values()]
        mean = f"{sum(last) / len(last):.2f} %" if last else "not run"
        rows.append([way, *(percent(runs[way].get(seed)) for seed in a.seeds), mean])
    text += report.table(["", *(f"seed {seed}" for seed in a.seeds), "mean"], rows)
    for seed in a.seeds:
        ways = [way for way in WAYS if seed in runs[way]]
        text += f"\n## Seed {seed}, by epoch\n\nTraining loss / test accuracy.\n\n"
        rows = []
        for epoch in range(a.epochs):
            cells = [runs[way][seed][epoch] for way in ways]
            rows.append([epoch + 1, *(f"{c['train_loss']:.4f} / {100 * c['test_accuracy']:.2f} %" for c in cells)])
        text += report.table(["epoch", *ways], rows)
    report.write(a.output, text)


if __name__ == "__main__":
    main()
