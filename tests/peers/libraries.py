"""Class activation maps and metrics as a Python user computes them: pytorch-grad-cam, Quantus, scikit-image.

One image at a time, as published evaluation code does. Run as a program it computes pixel flipping with the Quantus of
the interpreter that runs it, so that two versions can be compared:

    python libraries.py flip JOB.npz RESULT.npz
"""

import argparse
import copy
import json

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18, resnet50
from torchvision.models.resnet import BasicBlock, Bottleneck

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Subsample(nn.Module):
    """The shortcut without parameters of He et al. 2015, option A."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        missing = self.channels // 4
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, missing, missing))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = Subsample(outputs) if stride != 1 else nn.Sequential()

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class CifarResNet(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate((16, 32, 64), 1):
            blocks = []
            for block in range((depth - 2) // 6):
                blocks.append(Block(inputs, outputs, 2 if block == 0 and stage > 1 else 1))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def make_model(arch, classes):
    """A network in evaluation mode with random weights of a fixed seed."""
    torch.manual_seed(0)
    if arch == "resnet20":
        model = CifarResNet(20)
    elif arch == "resnet18-cifar":
        model = resnet18(num_classes=classes)
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
    else:
        model = resnet50(num_classes=classes)
    return model.eval()


def load_model(arch, classes, weights):
    from safetensors.torch import load_file

    model = make_model(arch, classes)
    missing, surplus = model.load_state_dict(load_file(weights), strict=False)
    assert not surplus and all(name.endswith("num_batches_tracked") for name in missing), (missing, surplus)
    return model


@torch.no_grad()
def calibrate(model, x):
    """Gives random weights what makes maps of contrast and rounding like a trained network's.

    Batch-norm gets the statistics of `x`, and each block's last one a scale of 0.25: with 1 a random ResNet-50 enlarges
    rounding until PyTorch's own maps in single and in double precision differ by 5e-5 of their range, with 0.25 by 3e-6.
    """
    for m in model.modules():
        if isinstance(m, BasicBlock):
            m.bn2.weight.fill_(0.25)
        elif isinstance(m, Bottleneck):
            m.bn3.weight.fill_(0.25)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    model.train()
    model(x)
    model.eval()


def last_block(model):
    return (model.layer4 if hasattr(model, "layer4") else model.layer3)[-1]


@torch.no_grad()
def predict(model, x):
    return torch.cat([model(x[i : i + 1]) for i in range(len(x))])


@torch.no_grad()
def exact_grad_cam(model, x, classes):
    """Raw Grad-CAM maps of a network with pooling and a linear head, in double precision."""
    model = copy.deepcopy(model).double()
    seen = []
    last_block(model).register_forward_hook(lambda module, inputs, output: seen.append(output))
    predict(model, x.double())
    weights = list(model.children())[-1].weight[torch.as_tensor(classes)]
    return torch.einsum("nkij,nk->nij", torch.cat(seen), weights).numpy() / seen[0].shape[2:].numel()


class Cams:
    """pytorch-grad-cam's maps of the last block, with the raw signed ones they were made from."""

    def __init__(self, model):
        from pytorch_grad_cam import EigenCAM, GradCAM

        def recording(kind):
            class Recording(kind):
                def get_cam_image(self, x, layer, targets, activations, gradients, eigen_smooth=False):
                    self.activations = activations
                    self.raw = super().get_cam_image(x, layer, targets, activations, gradients, eigen_smooth)
                    return self.raw

            return Recording

        self.kinds = {"GradCAM": recording(GradCAM), "EigenCAM": recording(EigenCAM)}
        self.model = model

    def explain(self, method, x, classes, aug_smooth=False):
        """Maps (N,H,W), raw maps (N,h,w) and, for Eigen-CAM, the ratio of the second singular value to the first."""
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        maps, raws, ratios = [], [], []
        with self.kinds[method](model=self.model, target_layers=[last_block(self.model)]) as cam:
            for i, c in enumerate(classes):
                target = [ClassifierOutputTarget(int(c))]
                maps.append(cam(input_tensor=x[i : i + 1], targets=target, aug_smooth=aug_smooth)[0])
                raws.append(cam.raw[0])
                if method == "EigenCAM":
                    a = cam.activations[0].reshape(cam.activations.shape[1], -1).T
                    s = np.linalg.svd(a - a.mean(0), compute_uv=False)
                    ratios.append(s[1] / s[0])
        return np.stack(maps).astype(np.float32), np.stack(raws), np.array(ratios)


def ranks(maps, channels=1):
    """Maps (N,channels,H,W) in the order of `maps`, largest first, ties in the order of position."""
    flat = np.repeat(maps.reshape(len(maps), 1, -1), channels, 1).reshape(len(maps), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    result = np.empty(flat.shape, np.float32)
    np.put_along_axis(result, order, np.arange(flat.shape[1], 0, -1, dtype=np.float32)[None], 1)
    return result.reshape(len(maps), channels, *maps.shape[1:])


def quantus_metric(name, **options):
    import quantus

    return getattr(quantus, name)(disable_warnings=True, display_progressbar=False, **options)


def one_by_one(metric, model, x, y, maps, masks=None):
    """The metric of each map alone; NaN for maps that are zero everywhere, which Quantus refuses."""
    rows = [None] * len(maps)
    for i in range(len(maps)):
        if not np.any(maps[i]):
            continue
        call = dict(
            model=model,
            x_batch=x[i : i + 1].numpy(),
            y_batch=y[i : i + 1],
            a_batch=maps[i : i + 1],
            device="cpu",
        )
        if masks is not None:
            call["s_batch"] = masks[i : i + 1, None]
        rows[i] = np.asarray(metric(**call)[0], np.float64).ravel()
    width = max((len(r) for r in rows if r is not None), default=1)
    return np.stack([np.full(width, np.nan) if r is None else r for r in rows])


def flip(model, x, y, maps, step, channels=1):
    """The curves (N,S) of pixel flipping: by pixels (Quantus 0.5) or by channel values (0.6); NaN for maps of zeros."""
    metric = quantus_metric("PixelFlipping", perturb_baseline="black", features_in_step=step)
    order, curves = ranks(maps, channels), []
    for i in range(0, len(maps), 32):
        part = slice(i, i + 32)
        rows = metric(model=model, x_batch=x[part].numpy(), y_batch=y[part], a_batch=order[part], device="cpu")
        curves.append(np.asarray(rows, np.float64).reshape(len(y[part]), -1))
    curves = np.concatenate(curves)
    curves[~maps.reshape(len(maps), -1).any(1)] = np.nan
    return curves


def area(curves):
    return ((curves[:, 1:] + curves[:, :-1]) / 2).sum(1) / (curves.shape[1] - 1)


def similarity(a, b):
    from skimage.metrics import structural_similarity

    return np.array([structural_similarity(p, q, data_range=1.0) for p, q in zip(a, b)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["flip"])
    parser.add_argument("job")
    parser.add_argument("result")
    a = parser.parse_args()
    import quantus

    job = np.load(a.job)
    how = json.loads(str(job["how"]))
    model = load_model(how["arch"], how["classes"], how["weights"])
    x = torch.from_numpy(job["x"])
    curves = {m: flip(model, x, job["y"], job[m], how["step"], how["channels"]) for m in how["methods"]}
    np.savez(a.result, version=quantus.__version__, **curves)


if __name__ == "__main__":
    main()
