"""Images per second of a training step, and of inference, in PyTorch on this machine.

    python torch_train.py --arch resnet18-cifar --batch 128 --precision f32 bf16 --layout nchw nhwc [--compile] [--device cuda]

The step is what a user would write: zero_grad, forward (autocast for bf16), cross-entropy, backward, SGD with momentum 0.9
and weight decay 5e-4. A line per setting: the median of --repeats timed windows after a warm-up, with least and most.
"""

import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet18Cifar(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width, layers = 64, []
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [Block(width, outputs, stride), Block(outputs, outputs, 1)]
            width = outputs
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(512, classes)

    def forward(self, x):
        x = self.body(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def make(arch):
    """The network, the side of its images and its number of classes."""
    if arch == "resnet18-cifar":
        return ResNet18Cifar(), 32, 10
    import torchvision

    return torchvision.models.resnet50(num_classes=50), 224, 50


def wait_for(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def rates(a, device, mode, layout, precision):
    """Images per second of each window."""
    torch.manual_seed(0)
    model, side, classes = make(a.arch)
    model = model.to(device)
    x = torch.randn(a.batch, 3, side, side, device=device)
    y = torch.randint(classes, (a.batch,), device=device)
    if layout == "nhwc":
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    forward = torch.compile(model) if a.compile else model

    def train():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = F.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()

    def infer():
        with torch.inference_mode(), autocast:
            forward(x)

    model.train(mode == "train")
    step = train if mode == "train" else infer
    for _ in range(2):
        step()
    wait_for(device)
    found = []
    for _ in range(a.repeats):
        start = time.perf_counter()
        for _ in range(a.steps):
            step()
        wait_for(device)
        found.append(a.steps * a.batch / (time.perf_counter() - start))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet18-cifar", choices=["resnet18-cifar", "resnet50"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", nargs="+", default=["f32", "bf16"], choices=["f32", "bf16"])
    parser.add_argument("--layout", nargs="+", default=["nchw", "nhwc"], choices=["nchw", "nhwc"])
    parser.add_argument("--mode", nargs="+", default=["train", "infer"], choices=["train", "infer"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3, help="in a window")
    parser.add_argument("--repeats", type=int, default=3, help="windows")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    device = torch.device(a.device)
    torch.backends.cudnn.benchmark = True
    print(
        f"torch {torch.__version__} threads {torch.get_num_threads()} device {device} arch {a.arch} batch {a.batch} "
        f"compile {a.compile}",
        flush=True,
    )
    for mode in a.mode:
        for layout in a.layout:
            for precision in a.precision:
                found = rates(a, device, mode, layout, precision)
                print(
                    f"{mode:5} {layout} {precision:4}  {statistics.median(found):9.1f} img/s  "
                    f"(min {min(found):.1f}, max {max(found):.1f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
