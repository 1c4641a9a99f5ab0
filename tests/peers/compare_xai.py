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
import pandas
import torch

import libraries
import report

PREAMBLE = """Written by tests/peers/compare_xai.py: clx-eval --protocol reference beside pytorch-grad-cam, Quantus and scikit-image.
Maps are compared with pytorch-grad-cam's of the same network and images; the bound is 1e-5 times max|raw|/(range of
raw), the factor by which min-max normalisation enlarges rounding. Metrics are computed by both sides on the same maps:
complexity, sparseness, localisation and pixel flipping on pytorch-grad-cam's (given to clx-eval by --maps), continuity
and contrastivity on ours (saved by --save-maps). Ties of pixel flipping are broken by position on both sides."""
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
    """The columns of a CSV of clx-eval, read as the published code reads its own."""
    table = pandas.read_csv(folder / f"{name}_scores.csv")
    return {key: table[key].to_numpy() for key in table.columns}


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


def compare_maps(c, method, ours, theirs, raw, ratios, which=""):
    """Maps of one method: each image within its bound, or an exception with its cause."""
    what = f"{method}, map {which}".strip()
    d = np.abs(ours - theirs).max((1, 2))
    flat = raw.reshape(len(raw), -1).astype(np.float64)
    top = np.abs(flat).max(1)
    bound = MAPS * top / np.maximum(flat.max(1) - flat.min(1), 1e-30)
    allowed = np.zeros(len(d), bool)
    if method == "EigenCAM":
        other = np.abs(ours - finished(-raw, ours.shape[:0:-1])).max((1, 2))
        flipped = other < d
        c.number(f"{what}, same sign", len(d), f"{1 - flipped.mean():.2%}", f"{SIGNS:.0%}", flipped.mean() <= 1 - SIGNS)
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
        c.exceptions.append(f"{what}, image {i}: {d[i]:.2g}; {cause}")
    c.row(what, d, bound, allowed)


def channel_curves(case, maps, a, work):
    """Pixel flipping by channel values, from the interpreter that has Quantus 0.6."""
    how = dict(arch=case.arch, classes=case.classes, weights=case.weights, step=case.step, channels=3, methods=METHODS)
    job, result = work / "job.npz", work / "result.npz"
    np.savez(job, how=json.dumps(how), x=case.x.numpy(), y=case.y, **maps)
    report.run([a.quantus6, pathlib.Path(libraries.__file__), "flip", job, result])
    result = np.load(result)
    assert str(result["version"]).startswith("0.6"), result["version"]
    return result


def compare(case, a, work):
    c, folder = Comparison(case), work / case.name
    size, model, x, y = len(case.y), case.model, case.x, case.y
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(7).normal(0, 0.02, x.shape).astype(np.float32)
    np.save(folder / "noise.npy", noise)

    def evaluate(name, *flags):
        # One class for everything, and masks as they are: what the protocol says otherwise would need maps of its own.
        same = ["--coherence-target", "target", "--no-coherence-aug-smooth", "--mask-mode", "clean"]
        same += ["--zero-coherence", "skip", "--controls", "none", "--pf-step", case.step, "--overwrite"]
        report.run([a.bin / "clx-eval", *case.flags, "--protocol", "reference", *same, *flags, "--output-dir", folder / name])
        return folder / name

    own = evaluate("own", "--noise", folder / "noise.npy", "--save-maps")
    our_maps, pf = dict(np.load(own / "maps.npz")), columns(own, "pf")

    logits = libraries.predict(model, x)
    predicted = logits.argmax(1).numpy()
    c.number("predicted class, equal", size, f"{(predicted == pf['pred']).mean():.2%}", "100%", (predicted == pf["pred"]).all())
    c.per_image("score before flipping", pf["p0"], logits.double().softmax(1).numpy()[np.arange(size), y])

    cams, their_maps, raws = libraries.Cams(model), {}, {}
    for method in METHODS:
        their_maps[method], raws[method], ratios = cams.explain(method, x, predicted)
        compare_maps(c, method, our_maps[method], their_maps[method], raws[method], ratios)

    # The library's maps, scored by both sides.
    np.savez(folder / "their_maps.npz", **their_maps)
    given = evaluate("given", "--maps", folder / "their_maps.npz")
    curves = {m: libraries.flip(model, x, y, their_maps[m], case.step) for m in METHODS}
    our_curves = np.load(given / "pf_curves.npz")
    for method in METHODS:
        scored = lambda metric, masks=None: libraries.one_by_one(
            libraries.quantus_metric(metric), model, x, y, their_maps[method], masks
        )[:, 0]
        for name in ("Complexity", "Sparseness"):
            c.per_image(f"{method}, {name.lower()}", columns(given, name.lower())[f"{method}_{name}"], scored(name))
        if case.masks is not None:
            for name, short in (("AttributionLocalisation", "AL"), ("PointingGame", "PG")):
                (ours,) = columns(given, f"{method}_{short}").values()
                c.per_image(f"{method}, {name}", ours, scored(name, case.masks))
        c.row(f"{method}, pixel flipping, curve", np.abs(our_curves[method] - curves[method]).max(1), SAME_MAPS)
        area = libraries.area(curves[method])
        c.per_image(f"{method}, pixel flipping, area", columns(given, "pf")[f"{method}_PF_AUC"], area)
        d = abs(np.nanmean(pf[f"{method}_PF_AUC"]) - np.nanmean(area))
        c.number(f"{method}, pixel flipping, mean area, each with its own maps", size, f"{d:.2g}", FLIPPING, d <= FLIPPING)

    # Our maps of images with noise and of other classes, compared by scikit-image.
    for method in METHODS:
        ours = columns(own, "continuity")[f"{method}_SSIM_Continuity"]
        c.per_image(f"{method}, continuity", ours, libraries.similarity(our_maps[method], our_maps[f"{method}_noisy"]))
    contrast = columns(own, "contrastivity")
    theirs = libraries.similarity(our_maps["GradCAM"], our_maps["GradCAM_contrast"])
    c.per_image("GradCAM, contrastivity", contrast["GradCAM_SSIM_Contrastivity"], theirs)
    noisy = torch.clamp(x + torch.from_numpy(noise), 0, 1)
    for method in METHODS:
        theirs, raw, ratios = cams.explain(method, noisy, predicted)
        compare_maps(c, method, our_maps[f"{method}_noisy"], theirs, raw, ratios, "with noise")
    theirs, raw, ratios = cams.explain("GradCAM", x, contrast["contrast_class"])
    compare_maps(c, "GradCAM", our_maps["GradCAM_contrast"], theirs, raw, ratios, "of another class")

    if a.quantus6:
        channel = evaluate("channel", "--maps", folder / "their_maps.npz", "--metric", "pixel-flipping", "--pf-mode", "channel")
        theirs, ours = channel_curves(case, their_maps, a, folder), np.load(channel / "pf_curves.npz")
        for method in METHODS:
            d = np.abs(ours[method] - theirs[method]).max(1)
            c.row(f"{method}, pixel flipping by channels (Quantus 0.6), curve", d, SAME_MAPS)
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
            PREAMBLE,
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
