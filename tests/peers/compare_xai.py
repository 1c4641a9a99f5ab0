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

PREAMBLE = """Written by tests/peers/compare_xai.py: clx-eval --protocol reference beside pytorch-grad-cam, Quantus, scikit-image.
Maps are compared with pytorch-grad-cam's of the same network and images; the bound is 1e-5 times max|raw|/(range of
raw), the factor by which min-max normalisation enlarges rounding. What rounding there is, the rows from double precision
say. Metrics are computed by both sides on the same maps, pytorch-grad-cam's
(given to clx-eval by --maps); the class of contrastivity is the one clx-eval drew. Where "each with its own maps" is said,
clx-eval made its own. Ties of pixel flipping are broken by position on both sides."""
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
    images = a.images if name == "resnet20" else a.images18
    pixels = records[:images, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    x, y = normalized(pixels, mean, std), records[:images, 0].astype(np.int64)
    if name == "resnet20":
        (weights,) = (a.data / "resnet20-cifar10").glob("*.safetensors")
    else:
        weights = random_weights(name, 10, x[:64], work / f"{name}.safetensors")
    flags = ["--dataset", "cifar10", "--data-dir", a.data / "cifar-10-batches-bin", "--limit", images]
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
        worst, mean = (good.max(), good.mean()) if len(good) else (0, 0)
        low, high = (f"{f(bound):.2g}" for f in (np.min, np.max))
        limit = "" if high == "inf" else low if low == high else f"{low} … {high}"
        within = "" if high == "inf" else "**no**" if over.any() else "yes"
        self.rows.append([what, len(good), f"{worst:.2g}", f"{mean:.2g}", limit, within])

    def per_image(self, what, ours, theirs, bound=SAME_MAPS):
        """One value per image, or one curve. NaN where one side has it must be NaN on the other."""
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if (np.isnan(ours) != np.isnan(theirs)).any():
            self.broken.append(f"{what}: NaN on one side only")
        self.row(what, np.abs(ours - theirs).reshape(len(ours), -1).max(1), bound)

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
    what = f"{method}, map"
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
            cause = (
                f"the positive part of the raw map, which is stretched to [0,1], is {positive / top[i]:.2g} of max|raw|"
            )
        elif method == "EigenCAM" and ratios[i] > 0.98:
            cause = f"the second singular value is {ratios[i]:.3f} of the first, so that the vector is ill-determined"
        else:
            continue
        allowed[i] = True
        c.exceptions.append(f"{what}, image {i}: {d[i]:.2g}; {cause}")
    c.row(what, d, bound, allowed)


class Sides:
    """Both sides' results of one case: ours from clx-eval's files, theirs from the libraries."""

    def __init__(self, case, a, work):
        self.case, self.a, self.folder = case, a, work / case.name
        self.folder.mkdir(exist_ok=True)
        self.noise = np.random.default_rng(7).normal(0, 0.02, case.x.shape).astype(np.float32)
        np.save(self.folder / "noise.npy", self.noise)
        self.own = self.evaluate("own", "--noise", self.folder / "noise.npy", "--save-maps")
        self.our_maps = dict(np.load(self.own / "maps.npz"))
        self.logits = libraries.predict(case.model, case.x)
        self.predicted = self.logits.argmax(1).numpy()
        self.cams, self.their_maps = libraries.Cams(case.model), {}

    def evaluate(self, name, *flags):
        """The folder of a run of clx-eval.

        One class for everything, and masks as they are: what the protocol says otherwise needs maps of its own.
        """
        same = ["--coherence-target", "target", "--no-coherence-aug-smooth", "--mask-mode", "clean"]
        same += ["--zero-coherence", "skip", "--controls", "none", "--pf-step", self.case.step, "--overwrite"]
        command = [self.a.bin / "clx-eval", *self.case.flags, "--protocol", "reference", *same, *flags]
        report.run([*command, "--output-dir", self.folder / name])
        return self.folder / name


def compare_networks(c, s):
    case, pf = c.case, columns(s.own, "pf")
    same = s.predicted == pf["pred"]
    c.number("predicted class, equal", len(same), f"{same.mean():.2%}", "100%", same.all())
    p0 = s.logits.double().softmax(1).numpy()[np.arange(len(same)), case.y]
    c.per_image("score before flipping", pf["p0"], p0)
    raws = {}
    for method in METHODS:
        s.their_maps[method], raws[method], ratios = s.cams.explain(method, case.x, s.predicted)
        compare_maps(c, method, s.our_maps[method], s.their_maps[method], raws[method], ratios)
    exact = libraries.exact_grad_cam(case.model, case.x, s.predicted)
    ranges = np.ptp(exact.reshape(len(exact), -1), 1)
    for who, raw in (("PyTorch's", raws["GradCAM"]), ("our", s.our_maps["GradCAM_raw"])):
        c.row(f"rounding of {who} raw Grad-CAM, of its range", np.abs(raw - exact).max((1, 2)) / ranges, np.inf)


def compare_metrics(c, s):
    """pytorch-grad-cam's maps, scored by both sides."""
    case, model, x, y = c.case, c.case.model, c.case.x, c.case.y
    np.savez(s.folder / "their_maps.npz", **s.their_maps)
    given = s.evaluate("given", "--maps", s.folder / "their_maps.npz")
    our_areas, own_areas = columns(given, "pf"), columns(s.own, "pf")
    our_curves = np.load(given / "pf_curves.npz")
    for method in METHODS:
        maps = s.their_maps[method]
        for name in ("Complexity", "Sparseness"):
            theirs = libraries.one_by_one(libraries.quantus_metric(name), model, x, y, maps)[:, 0]
            c.per_image(f"{method}, {name.lower()}", columns(given, name.lower())[f"{method}_{name}"], theirs)
        if case.masks is not None:
            for name, short in (("AttributionLocalisation", "AL"), ("PointingGame", "PG")):
                theirs = libraries.one_by_one(libraries.quantus_metric(name), model, x, y, maps, case.masks)[:, 0]
                (ours,) = columns(given, f"{method}_{short}").values()
                c.per_image(f"{method}, {name}", ours, theirs)
        curves = libraries.flip(model, x, y, maps, case.step)
        areas = libraries.area(curves)
        c.per_image(f"{method}, pixel flipping, curve", our_curves[method], curves)
        c.per_image(f"{method}, pixel flipping, area", our_areas[f"{method}_PF_AUC"], areas)
        d = abs(np.nanmean(own_areas[f"{method}_PF_AUC"]) - np.nanmean(areas))
        what = f"{method}, pixel flipping, mean area, each with its own maps"
        c.number(what, len(y), f"{d:.2g}", FLIPPING, d <= FLIPPING)


def compare_similarity(c, s):
    """SSIM of maps with noise in the image and of another class: each side with its own maps, image by image."""
    x, size = c.case.x, c.case.x.shape[:1:-1]
    noisy = torch.clamp(x + torch.from_numpy(s.noise), 0, 1)
    for method in METHODS:
        maps, raw, ratios = s.cams.explain(method, noisy, s.predicted)
        theirs = libraries.similarity(s.their_maps[method], maps)
        ours = columns(s.own, "continuity")[f"{method}_SSIM_Continuity"]
        other_sign = np.zeros(len(ours), bool)
        if method == "EigenCAM":
            clean, turned = s.our_maps[method], finished(-raw, size)
            other_sign = np.abs(libraries.similarity(clean, turned) - ours) < np.abs(theirs - ours)
            other_sign &= np.abs(theirs - ours) > SAME_MAPS
            for i in np.flatnonzero(other_sign):
                cause = f"the other sign with noise; the second singular value is {ratios[i]:.2f} of the first"
                c.exceptions.append(f"{method}, continuity, image {i}: {abs(theirs - ours)[i]:.2g}; {cause}")
        c.row(f"{method}, continuity, each with its own maps", np.abs(theirs - ours), SAME_MAPS, other_sign)
    contrast = columns(s.own, "contrastivity")
    maps, _, _ = s.cams.explain("GradCAM", x, contrast["contrast_class"])
    theirs = libraries.similarity(s.their_maps["GradCAM"], maps)
    what = "GradCAM, contrastivity, each with its own maps"
    c.per_image(what, contrast["GradCAM_SSIM_Contrastivity"], theirs)


def compare_channels(c, s):
    """Pixel flipping by channel values, by the interpreter that has Quantus 0.6."""
    case, flags = c.case, ["--metric", "pixel-flipping", "--pf-mode", "channel"]
    ours = np.load(s.evaluate("channel", "--maps", s.folder / "their_maps.npz", *flags) / "pf_curves.npz")
    how = dict(arch=case.arch, classes=case.classes, weights=case.weights, step=case.step, channels=3, methods=METHODS)
    job, result = s.folder / "job.npz", s.folder / "result.npz"
    np.savez(job, how=json.dumps(how), x=case.x.numpy(), y=case.y, **s.their_maps)
    report.run([s.a.quantus6, pathlib.Path(libraries.__file__), "flip", job, result])
    theirs = np.load(result)
    assert str(theirs["version"]).startswith("0.6"), theirs["version"]
    for method in METHODS:
        c.per_image(f"{method}, pixel flipping by channels (Quantus 0.6), curve", ours[method], theirs[method])


def compare(case, a, work):
    c, s = Comparison(case), Sides(case, a, work)
    compare_networks(c, s)
    compare_metrics(c, s)
    compare_similarity(c, s)
    if a.quantus6:
        compare_channels(c, s)
    return c


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the data sets and weights")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the built programs")
    parser.add_argument("--quantus6", help="interpreter of an environment with Quantus 0.6.0")
    parser.add_argument("--output", type=pathlib.Path, default="docs/benchmarks/xai-parity.md")
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--images", type=int, default=200, help="of CIFAR-10, for ResNet-20")
    parser.add_argument("--images18", type=int, default=200, help="of CIFAR-10, for ResNet-18: 13 times the multiplications")
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
