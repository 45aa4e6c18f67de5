"""How networks are chosen, loaded and run: with tiny ones, and against open_clip and torchvision directly."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_networks import SPEC, Quadrants, tiny_encoder

from mulde.data.errors import InputError, VideoError
from mulde.extractors.networks import machine as networks
from mulde.extractors.networks.encoders import RELATIVE_TOLERANCE, Encoder, make_encoder
from mulde.extractors.networks.images import fit_image, to_network
from mulde.extractors.networks.libraries import CLIP_LIBRARIES, IMAGE_LIBRARIES, published
from mulde.extractors.networks.machine import Machine
from mulde.extractors.settings import ClipSettings, EncoderSettings, InferencePrecision

PICTURES = [np.random.default_rng(k).integers(0, 256, (40 + k, 30, 3), np.uint8) for k in range(5)]


def image_encoder(folder: Path, encoder: str, weights: str = "random", **options: object) -> Encoder:
    settings = EncoderSettings(encoder=encoder, weights=weights, **options)  # type: ignore[arg-type]
    return make_encoder("extract.appearance", settings, IMAGE_LIBRARIES, Machine(weights_folder=folder))


def clip_encoder(folder: Path, encoder: str, weights: str = "random") -> Encoder:
    settings = ClipSettings(encoder=encoder, weights=weights)
    return make_encoder("extract.clip", settings, CLIP_LIBRARIES, Machine(weights_folder=folder))


def encode(encoder: Encoder, pictures: list[np.ndarray]) -> np.ndarray:
    spec, fit = encoder.spec, encoder.options.fit
    return encoder(pictures, lambda batch: np.stack([fit_image(picture, spec, fit) for picture in batch]))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference as a share of the vectors' length."""
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


def test_nothing_gives_no_vector() -> None:
    vectors = encode(tiny_encoder(EncoderSettings()), [])
    assert vectors.shape == (0, 12) and vectors.dtype == np.float32


# --- Which network, which weights ---


@pytest.mark.parametrize(
    ("encoder", "weights", "text"),
    [
        ("resnet50", "random", "LIBRARY/NAME, where LIBRARY is open_clip or torchvision"),
        ("timm/resnet50", "random", "open_clip or torchvision"),
        ("torchvision/resnet5000", "random", "unknown network torchvision/resnet5000"),
        ("torchvision/resnet50", "IMAGENET9", "published are IMAGENET1K_V1, IMAGENET1K_V2"),
        ("torchvision/resnet50", "nowhere/file.pt", "no file of weights at nowhere/file.pt"),
        ("torchvision/resnet50", "default", r"weights are missing \(torchvision/resnet50: "),
        ("torchvision/resnet18", "default", r"weights are missing \(torchvision/resnet18: "),
        ("open_clip/ViT-B-16-quickgelu", "default", r"missing \(open_clip/ViT-B-16-quickgelu/openai: "),
        ("open_clip/ViT-B-32", "laion2b_s34b_b79k", r"missing \(open_clip/ViT-B-32/laion2b_s34b_b79k: "),
        ("open_clip/ViT-L-16", "default", "published are none"),
    ],
)
def test_what_is_not_there_is_said(
    encoder: str, weights: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=text):
        image_encoder(tmp_path, encoder, weights).check()


def test_random_weights_are_marked_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = image_encoder(tmp_path, "torchvision/mobilenet_v3_small", seed=3)
    with caplog.at_level(logging.WARNING):
        encoder.check()
    assert "random weights" in caplog.text
    assert encoder.settings()["weights"] == "random, seed 3"


def test_random_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(99)
    first, other = (image_encoder(tmp_path, "torchvision/mobilenet_v3_small", seed=seed) for seed in (0, 1))
    rows = encode(first, PICTURES[:1])
    networks_before = torch.random.get_rng_state()
    assert distance(encode(other, PICTURES[:1]), rows) > 1e-3
    torch.testing.assert_close(torch.random.get_rng_state(), networks_before)


def test_settings_hold_the_content_of_weights_and_no_path_or_batch(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    state = torchvision.models.mobilenet_v3_small().state_dict()
    texts = []
    for name, batch_size in (("a.pt", 1), ("b.pt", 64)):
        torch.save(state, tmp_path / name)
        encoder = image_encoder(
            tmp_path, "torchvision/mobilenet_v3_small", str(tmp_path / name), batch_size=batch_size
        )
        texts.append(json.dumps(encoder.settings()))
    digests = [json.loads(text)["weights"] for text in texts]
    assert len(digests[0]) == 16
    assert str(tmp_path) not in texts[0] and "batch" not in texts[0]
    (tmp_path / "c.pt").write_bytes((tmp_path / "a.pt").read_bytes())
    copy = image_encoder(tmp_path, "torchvision/mobilenet_v3_small", str(tmp_path / "c.pt"))
    assert copy.settings()["weights"] == digests[0]


def test_a_tag_of_a_library_has_a_record() -> None:
    pytest.importorskip("torchvision")
    record = published("torchvision/resnet18/IMAGENET1K_V1")
    assert record is not None and record.task == "appearance"
    assert record.source.startswith("https://download.pytorch.org/models/resnet18-")
    assert record.sha256 is not None and record.source.endswith(f"-{record.sha256}.pth")
    clip = published("torchvision/mc3_18")
    assert clip is not None and clip.task == "clip"
    assert published("torchvision/no_such_network") is None


@pytest.mark.parametrize(
    ("network", "length_frames", "is_allowed"),
    [("torchvision/s3d", 13, False), ("torchvision/s3d", 14, True), ("torchvision/mvit_v2_s", 32, False),
     ("torchvision/r3d_18", 1, True), ("torchvision/mvit_v2_s", 16, True)],
)  # fmt: skip
def test_lengths_of_clips(network: str, length_frames: int, is_allowed: bool, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    encoder = clip_encoder(tmp_path, network)
    if is_allowed:
        encoder.library.check_length(encoder.name, length_frames)
        return
    with pytest.raises(InputError, match="length_frames"):
        encoder.library.check_length(encoder.name, length_frames)


# --- Files of weights ---


@pytest.mark.parametrize("form", ["all", "without head", "features", "wrapped", "safetensors"])
def test_forms_of_a_torchvision_file(form: str, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    from safetensors.torch import save_file

    torch.manual_seed(5)
    model = torchvision.models.mobilenet_v2().eval()
    state = model.state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "features":
        torch.save(model.features.state_dict(), path)
    elif form == "without head":
        torch.save({k: v for k, v in state.items() if not k.startswith("classifier")}, path)
    else:
        torch.save({"state_dict": state} if form == "wrapped" else state, path)
    encoder = image_encoder(tmp_path, "torchvision/mobilenet_v2", str(path))
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        wanted = model.features(x).mean((2, 3))
        given = encoder._load()[0](x)
    assert encoder.n_features == 1280
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_features_alone_do_not_do_where_more_has_weights(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    path = tmp_path / "weights.pt"
    torch.save(torchvision.models.mobilenet_v3_small().features.state_dict(), path)
    with pytest.raises(InputError, match="do not fit torchvision/mobilenet_v3_small"):
        _ = image_encoder(tmp_path, "torchvision/mobilenet_v3_small", str(path)).n_features


class Mischief:
    """What a pickle could hold."""


@pytest.mark.parametrize("content", ["nothing", "text", "pickle", "list"])
def test_files_that_hold_no_weights(content: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    if content in ("nothing", "text"):
        path.write_text("" if content == "nothing" else "hello")
    else:
        torch.save(Mischief() if content == "pickle" else [1, 2], path)
    with pytest.raises(InputError, match="no state dict"):
        _ = image_encoder(tmp_path, "torchvision/mobilenet_v3_small", str(path)).n_features


# --- Parity with direct calls ---


def test_torchvision_parity(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(1)
    model = torchvision.models.mobilenet_v3_small().eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    encoder = image_encoder(
        tmp_path, "torchvision/mobilenet_v3_small", str(tmp_path / "weights.pt"), fit="crop"
    )
    transforms = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT.transforms()
    model.classifier[3] = torch.nn.Identity()
    with torch.no_grad():
        theirs = model(torch.stack([transforms(Image.fromarray(picture)) for picture in PICTURES])).numpy()
    ours = encode(encoder, PICTURES)
    assert ours.shape == (5, 1024)
    assert distance(ours, theirs) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_open_clip_parity(fit: str, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(2)
    mode = {"crop": "shortest", "squash": "squash"}[fit]
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-S-32-alt", image_resize_mode=mode)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    with torch.no_grad():
        pictures = torch.stack([preprocess(Image.fromarray(picture)) for picture in PICTURES])
        theirs = model.eval().encode_image(pictures).numpy()
    ours = encode(
        image_encoder(tmp_path, "open_clip/ViT-S-32-alt", str(tmp_path / "weights.pt"), fit=fit), PICTURES
    )
    assert ours.shape == (5, 256)
    assert distance(ours, theirs) < RELATIVE_TOLERANCE


def test_open_clip_refuses_another_models_weights(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    torch.save({"visual.proj": torch.zeros(3, 3)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="do not fit open_clip/ViT-S-32-alt"):
        _ = image_encoder(tmp_path, "open_clip/ViT-S-32-alt", str(tmp_path / "weights.pt")).n_features


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TorchScript is out of fashion, but OpenAI's files are what they are
def test_openai_files_are_read(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(4)
    model = open_clip.create_model("ViT-S-32-alt").eval()
    example = (torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.long))
    script = torch.jit.trace(model, example, check_trace=False)
    torch.jit.save(script, tmp_path / "ViT.pt")
    encoder = image_encoder(tmp_path, "open_clip/ViT-S-32-alt", str(tmp_path / "ViT.pt"))
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(encoder._load()[0](x), model.encode_image(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_hiera_parity(tmp_path: Path) -> None:
    hiera = pytest.importorskip("hiera")
    encoder = clip_encoder(tmp_path, "hiera/hiera_base_16x224")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hiera.hiera_base_16x224(pretrained=False).eval()
    clip = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), np.uint8)
    with torch.no_grad():
        values = to_network(torch.from_numpy(clip[None]), encoder.spec)
        _, intermediates = model(values, return_intermediates=True)
        theirs = model.norm(intermediates[-1].mean((1, 2, 3))).numpy()  # (1, 768)
    assert distance(encoder([clip], np.stack), theirs) < RELATIVE_TOLERANCE


def test_r3d_parity(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(3)
    model = torchvision.models.video.r3d_18().eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    encoder = clip_encoder(tmp_path, "torchvision/r3d_18", str(tmp_path / "weights.pt"))
    clip = np.random.default_rng(0).integers(0, 256, (2, 128, 171, 3), np.uint8)  # the size before cropping
    transforms = torchvision.models.video.R3D_18_Weights.DEFAULT.transforms()
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        theirs = model(transforms(torch.from_numpy(clip).permute(0, 3, 1, 2))[None]).numpy()
    ours = encoder([clip], lambda clips: np.stack([[fit_image(f, encoder.spec, "crop") for f in clips[0]]]))
    assert ours.shape == (1, 512)
    assert distance(ours, theirs) < RELATIVE_TOLERANCE


# --- How it is run ---


@pytest.mark.parametrize("network", ["torchvision/mobilenet_v3_small", "open_clip/ViT-S-32-alt"])
def test_batches_change_no_bit_on_a_processor(network: str, tmp_path: Path) -> None:
    one, many = (image_encoder(tmp_path, network, batch_size=size) for size in (1, 3))
    wanted = encode(one, PICTURES)
    np.testing.assert_array_equal(encode(many, PICTURES), wanted)
    np.testing.assert_array_equal(encode(many, PICTURES[:1]), wanted[:1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_working_ahead_changes_nothing(precision: InferencePrecision) -> None:
    plain = tiny_encoder(EncoderSettings(batch_size=2, seed=1234, precision=precision))
    ahead = replace(plain, machine=Machine(works_ahead=True))
    threads = set()

    def stack(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        threads.add(threading.current_thread().name)
        return np.stack(pictures)

    for n_pictures in (0, 1, 2, 5, 40):
        pictures = [fit_image(picture, SPEC, "squash") for picture in PICTURES * 10][:n_pictures]
        np.testing.assert_array_equal(ahead(pictures, stack), plain(pictures, np.stack))
    assert "ahead" in threads


def test_error_while_pictures_are_made_ahead_is_raised() -> None:
    encoder = replace(tiny_encoder(EncoderSettings(seed=1234)), machine=Machine(works_ahead=True))
    n_threads = threading.active_count()
    with pytest.raises(VideoError, match="no picture"):
        encoder(range(40), no_picture)
    assert threading.active_count() == n_threads


def no_picture(items: object) -> NDArray[np.uint8]:
    raise VideoError("no picture")


@pytest.mark.parametrize("network", ["torchvision/mobilenet_v3_small", "open_clip/ViT-S-32-alt"])
def test_batches_hardly_matter_in_mixed_precision(network: str, tmp_path: Path) -> None:
    one, many = (image_encoder(tmp_path, network, batch_size=size, precision="bfloat16") for size in (1, 3))
    assert distance(encode(one, PICTURES), encode(many, PICTURES)) < 2**-6  # bfloat16 has 8 bits
    np.testing.assert_array_equal(encode(many, PICTURES), encode(many, PICTURES))


def test_bfloat16_is_close(tmp_path: Path) -> None:
    exact, mixed = (
        image_encoder(tmp_path, "torchvision/mobilenet_v3_small", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    rows = encode(mixed, PICTURES)
    assert rows.dtype == np.float32
    assert 0 < distance(rows, encode(exact, PICTURES)) < 0.05
    assert exact.settings() != mixed.settings()


def test_a_batch_that_does_not_fit_is_halved_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_fitting", {})
    # in mixed precision a processor takes several at a time
    encoder = tiny_encoder(EncoderSettings(batch_size=8, seed=1234, precision="bfloat16"))
    network = encoder._load()[0]
    assert isinstance(network, Quadrants)
    pictures = [fit_image(picture, SPEC, "squash") for picture in PICTURES * 2]
    wanted = encoder(pictures, np.stack)
    network.largest_batch, network.batches = 3, []
    np.testing.assert_array_equal(encoder(pictures, np.stack), wanted)
    assert network.batches == [2, 2, 2, 2, 2]
    network.largest_batch = 1000
    encoder(pictures[:4], np.stack)
    assert network.batches[5:] == [2, 2]
