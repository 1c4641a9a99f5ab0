"""Holds clx-explain and clx-eval to pytorch-grad-cam, Quantus and scikit-image, image by image.

    python compare_xai.py --data DIR --bin DIR [--quantus6 PYTHON] [--output FILE] [--case NAME ...]

--data has cifar-10-batches-bin, resnet20-cifar10 and msrc-v2, --bin the built programs. --quantus6 is the interpreter
of an environment with Quantus 0.6.0, for pixel flipping by channel values. Three networks: a trained ResNet-20 on
CIFAR-10 and, with fixed random weights, a ResNet-18 on CIFAR-10 and a ResNet-50 on photos of 224 pixels with masks.
Writes a Markdown page and ends with exit code 1 if a bound is broken. README.md beside this file says how to make the
environments.
"""

import argparse
import csv
import json
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import torch

import libraries
import report

METHODS = ("GradCAM", "EigenCAM")
SAME_MAPS = 1e-5  # of every metric, image by image, both sides given the same maps
MAPS = 1e-5  # of maps, times max|raw|/(range of raw), by which min-max normalisation amplifies rounding
FLIPPING = 1e-3  # of the mean area of pixel flipping, each side with its own maps
SIGNS = 0.99  # the least share of images for which Eigen-CAM has the library's sign


class Case:
    """A network, its images, and the flags that show them to our programs."""

    def __init__(self, name, arch, classes, weights, data_flags, x, y, masks, step):
        self.name, self.step = name, step
        self.arch, self.classes, self.weights = arch, classes, str(weights)
        self.flags = ["--arch", arch, "--checkpoint", weights, "--device", "cpu", "--quiet", *data_flags]
        self.x, self.y, self.masks = torch.from_numpy(x), y, masks
        self.model = libraries.load_model(arch, classes, self.weights)


def normalized(pixels, mean, std):
    """u8 (N,H,W,3) to f32 (N,3,H,W)."""
    x = (pixels.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def random_weights(arch, classes, x, path):
    from safetensors.torch import save_file

    model = libraries.make_model(arch, classes)
    libraries.calibrate(model, torch.from_numpy(x))
    save_file(model.state_dict(), path)
    return path


def cifar_case(name, a, work):
    mean, std = libraries.IMAGENET
    records = np.fromfile(a.data / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    pixels = records[: a.images, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    x, y = normalized(pixels, mean, std), records[: a.images, 0].astype(np.int64)
    if name == "resnet20":
        (weights,) = (a.data / "resnet20-cifar10").glob("*.safetensors")
    else:
        weights = random_weights(name, 10, x[:64], work / f"{name}.safetensors")
    flags = ["--dataset", "cifar10", "--data-dir", a.data / "cifar-10-batches-bin", "--limit", a.images]
    flags += ["--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std))]
    return Case(name, name, 10, weights, flags, x, y, None, 32)


def photo_case(name, a, work):
    from PIL import Image

    flags = ["--dataset", "folder", "--data-dir", a.data / "msrc-v2", "--image-size", 224, "--limit", a.photos]
    report.run([a.bin / "clx-data", "export", *flags, "--split", "test", "--quiet", "--output-dir", work / "photos"])
    with open(work / "photos" / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    read = lambda kind, row: np.asarray(Image.open(work / "photos" / row["file"].replace("images/", kind + "/", 1)))
    pixels = np.stack([read("images", row) for row in rows])
    masks = np.stack([read("masks", row) for row in rows])
    masks = (masks.reshape(*pixels.shape[:3], -1).max(-1) > 0).astype(np.uint8)
    y = np.array([int(row["label"]) for row in rows])
    x, classes = normalized(pixels, *libraries.IMAGENET), len(list((a.data / "msrc-v2" / "images").iterdir()))
    weights = random_weights(name, classes, x[:16], work / f"{name}.safetensors")
    return Case(name, name, classes, weights, flags, x, y, masks, a.photo_step)


def columns(folder, name):
    """The columns of a CSV of clx-eval; an empty cell or "nan" is NaN."""
    with open(folder / f"{name}_scores.csv") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


class Comparison:
    """The rows of one case's table, and what broke a bound."""

    def __init__(self, case):
        self.case, self.rows, self.exceptions, self.broken = case, [], [], []

    def row(self, what, differences, bound, allowed=None):
        """Every difference within `bound` (a number, or one per image), unless `allowed` images are exceptions."""
        d = np.asarray(differences, np.float64)
        over = d > bound
        if allowed is not None:
            over &= ~allowed
        if over.any():
            self.broken.append(f"{what}: {over.sum()} of {len(d)} images, first {np.argmax(over)}")
        good = d[~np.isnan(d)]
        limit = report.significant(bound) if np.ndim(bound) == 0 else f"{np.min(bound):.2g} … {np.max(bound):.2g}"
        worst, mean = (good.max(), good.mean()) if len(good) else (0, 0)
        self.rows.append([what, len(good), f"{worst:.2g}", f"{mean:.2g}", limit, "**no**" if over.any() else "yes"])

    def per_image(self, what, ours, theirs, bound=SAME_MAPS):
        """NaN where one side has it must be NaN on the other."""
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if (np.isnan(ours) != np.isnan(theirs)).any():
            self.broken.append(f"{what}: NaN on one side only")
        self.row(what, np.abs(ours - theirs), bound)

    def number(self, what, n, value, bound, good):
        if not good:
            self.broken.append(f"{what}: {value}")
        self.rows.append([what, n, value, "", bound, "yes" if good else "**no**"])

    def markdown(self):
        case = self.case
        text = f"## {case.name}: {len(case.y)} images of {case.x.shape[2]}×{case.x.shape[3]}\n\n"
        text += report.table(["", "images", "largest difference", "mean difference", "bound", "within"], self.rows)
        if self.exceptions:
            text += "\nExceptions:\n\n" + "".join(f"- {line}\n" for line in self.exceptions)
        return text


def finished(raw, size):
    from pytorch_grad_cam.utils.image import scale_cam_image

    return scale_cam_image(np.maximum(scale_cam_image(np.maximum(raw, 0), size), 0))


def compare_maps(c, method, ours, theirs, raw, ratios):
    """Maps of one method: each image within its bound, or an exception with its cause."""
    d = np.abs(ours - theirs).max((1, 2))
    flat = raw.reshape(len(raw), -1).astype(np.float64)
    top = np.abs(flat).max(1)
    bound = MAPS * top / np.maximum(flat.max(1) - flat.min(1), 1e-30)
    allowed = np.zeros(len(d), bool)
    if method == "EigenCAM":
        other = np.abs(ours - finished(-raw, ours.shape[:0:-1])).max((1, 2))
        flipped = other < d
        c.number("EigenCAM, same sign", len(d), f"{1 - flipped.mean():.2%}", f"{SIGNS:.0%}", flipped.mean() <= 1 - SIGNS)
    else:
        flipped = np.zeros(len(d), bool)
    for i in np.flatnonzero(d > bound):
        positive = max(flat[i].max(), 0) - max(flat[i].min(), 0)
        if flipped[i]:
            cause = f"the other sign; the second singular value is {ratios[i]:.2f} of the first"
        elif positive < 0.1 * top[i]:
            cause = f"the positive part of the raw map, which is stretched to [0,1], is {positive / top[i]:.2g} of max|raw|"
        elif method == "EigenCAM" and ratios[i] > 0.98:
            cause = f"the second singular value is {ratios[i]:.3f} of the first, so that the vector is ill-determined"
        else:
            continue
        allowed[i] = True
        c.exceptions.append(f"{method} of image {i}: {d[i]:.2g}; {cause}")
    c.row(f"{method}, map", d, bound, allowed)


def compare(case, a, work):
    c, folder = Comparison(case), work / case.name
    size = len(case.y)
    report.run([a.bin / "clx-explain", *case.flags, "--eigen-sign", "lapack", "--output-dir", folder / "explain"])
    flags = [*case.flags, "--eigen-sign", "lapack", "--pf-class", "true", "--pf-step", case.step, "--no-control"]
    report.run([a.bin / "clx-eval", *flags, "--output-dir", folder / "eval"])
    our_maps = dict(np.load(folder / "explain" / "maps.npz"))
    our_curves = dict(np.load(folder / "eval" / "pf_curves.npz"))
    pf = columns(folder / "eval", "pf")

    logits = libraries.predict(case.model, case.x)
    predicted = logits.argmax(1).numpy()
    agree = (predicted == pf["pred"]).mean()
    c.number("predicted class, equal", size, f"{agree:.2%}", "100%", agree == 1)
    p0 = logits.double().softmax(1).numpy()[np.arange(size), case.y]
    c.per_image("score before flipping", pf["p0"], p0)

    cams, their_maps = libraries.Cams(case.model), {}
    for method in METHODS:
        their_maps[method], raw, ratios = cams.explain(method, case.x, predicted)
        compare_maps(c, method, our_maps[method], their_maps[method], raw, ratios)

    for method in METHODS:
        maps = our_maps[method]
        for name in ("Complexity", "Sparseness"):
            theirs = libraries.one_by_one(libraries.quantus_metric(name), case.model, case.x, case.y, maps)[:, 0]
            c.per_image(f"{method}, {name.lower()}", columns(folder / "eval", name.lower())[f"{method}_{name}"], theirs)
        if case.masks is not None:
            for name, short in (("AttributionLocalisation", "AL"), ("PointingGame", "PG")):
                metric = libraries.quantus_metric(name)
                theirs = libraries.one_by_one(metric, case.model, case.x, case.y, maps, case.masks)[:, 0]
                (ours,) = columns(folder / "eval", f"{method}_{short}").values()
                c.per_image(f"{method}, {short}", ours, theirs)
        curves = libraries.flip(case.model, case.x, case.y, maps, case.step)
        c.row(f"{method}, curve of pixel flipping", np.abs(our_curves[method] - curves).max(1), SAME_MAPS)
        c.per_image(f"{method}, area of pixel flipping", pf[f"{method}_PF_AUC"], libraries.area(curves))
        own = np.nanmean(libraries.area(libraries.flip(case.model, case.x, case.y, their_maps[method], case.step)))
        d = abs(np.nanmean(pf[f"{method}_PF_AUC"]) - own)
        c.number(f"{method}, mean area of pixel flipping, each with its own maps", size, f"{d:.2g}", FLIPPING, d <= FLIPPING)
    return c


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the data sets and weights")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the built programs")
    parser.add_argument("--quantus6", help="interpreter of an environment with Quantus 0.6.0")
    parser.add_argument("--output", type=pathlib.Path, default="docs/benchmarks/xai-parity.md")
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--images", type=int, default=200, help="of CIFAR-10")
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--photo-step", type=int, default=1792, help="pixels flipped at each step of photos")
    parser.add_argument("--work", type=pathlib.Path, help="folder to keep intermediate files in")
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        work = a.work or pathlib.Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        text = report.preamble(
            "Equal to the libraries",
            "Written by tests/peers/compare_xai.py. Metrics are computed by both sides on the same maps, ours.",
            a.bin,
            ("torch", "grad-cam", "quantus", "scikit-image", "numpy", "opencv-python-headless"),
        )
        broken = []
        for name in a.case:
            comparison = compare(CASES[name](name, a, work), a, work)
            text += "\n" + comparison.markdown()
            broken += [f"{name}: {line}" for line in comparison.broken]
    report.write(a.output, text)
    for line in broken:
        print(f"bound broken: {line}", file=sys.stderr)
    return 1 if broken else 0


CASES = {"resnet20": cifar_case, "resnet18-cifar": cifar_case, "resnet50": photo_case}

if __name__ == "__main__":
    sys.exit(main())
