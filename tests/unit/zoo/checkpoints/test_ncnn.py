"""ncnn: layers from the .param, weights from the .bin, every byte accounted for."""

from __future__ import annotations

import struct

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.darknet import read as read_darknet
from gossamer.zoo.checkpoints.ncnn import read

FP32, FP16 = struct.pack("<I", 0), struct.pack("<I", 0x01306B47)
LINES = (
    "Input            data  0 1 data 0=8 1=8 2=1",
    "YoloV5Focus      focus 1 1 data a",
    "Convolution      conv  1 1 a b 0=2 1=3 11=1 5=1 6=6 -23310=1,1.0e-01",
    "BatchNorm        norm  1 1 b c 0=2 1=1.0e-3",
    "PReLU            act   1 1 c d 0=2",
    "ConvolutionDepthWise dw 1 1 d e 0=2 1=1 6=2 7=2",
    "Scale            scale 1 1 e f 0=2 1=1",
    "InnerProduct     fc    1 1 f g 0=3 1=1 2=6",
)


def _param(*lines):
    return f"7767517\n{len(lines)} {len(lines)}\n" + "\n".join(lines) + "\n"


def _floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def _halves(*values):
    return struct.pack(f"<{len(values)}e", *values)


def _bin(tag=FP32, weights=_floats, depthwise=b""):
    return (
        (tag + weights(1, 2, 3, 4, 5, 6) + _floats(7, 8))
        + (_floats(1, 2) + _floats(3, 4) + _floats(5, 6) + _floats(7, 8))
        + _floats(0.25, 0.5)
        + (depthwise or tag + weights(9, 10))
        + _floats(1, 2, 3, 4)
        + (tag + weights(1, 2, 3, 4, 5, 6) + _floats(1, 2, 3))
    )


EXPECTED = {
    "conv.weight": torch.tensor([[[[1.0, 2, 3]]], [[[4, 5, 6]]]]),
    "conv.bias": torch.tensor([7.0, 8]),
    "norm.weight": torch.tensor([1.0, 2]),
    "norm.bias": torch.tensor([7.0, 8]),
    "norm.running_mean": torch.tensor([3.0, 4]),
    "norm.running_var": torch.tensor([5.0, 6]),
    "act.weight": torch.tensor([0.25, 0.5]),
    "dw.weight": torch.tensor([[[[9.0]]], [[[10]]]]),
    "scale.weight": torch.tensor([1.0, 2]),
    "scale.bias": torch.tensor([3.0, 4]),
    "fc.weight": torch.tensor([[1.0, 2], [3, 4], [5, 6]]),
    "fc.bias": torch.tensor([1.0, 2, 3]),
}


def _write(folder, param, data):
    (folder / "w.param").write_text(param)
    (folder / "w.bin").write_bytes(data)
    return folder / "w.param"


@pytest.mark.parametrize("suffix", [".param", ".bin"])
@pytest.mark.parametrize("data", [_bin(), _bin(FP16, _halves)], ids=["fp32", "fp16"])
def test_tensors_in_the_order_of_the_param(tmp_path, data, suffix):
    found = read_checkpoint(_write(tmp_path, _param(*LINES), data).with_suffix(suffix))
    assert list(found) == list(EXPECTED)
    assert all(torch.equal(found[key], EXPECTED[key]) for key in EXPECTED)
    assert {v.dtype for v in found.values()} == {torch.float32}


def test_halves_are_padded_to_four_bytes(tmp_path):
    line = "Convolution conv 1 1 a b 0=3 1=1 5=1 6=3"
    data = FP16 + _halves(1, 2, 3) + b"\xff\xff" + _floats(4, 5, 6)
    found = read(_write(tmp_path, _param(line), data))
    assert found["conv.weight"].flatten().tolist() == [1, 2, 3]
    assert found["conv.bias"].tolist() == [4, 5, 6]


def test_grouped_kernels_have_their_own_inputs_only(tmp_path):
    line = "ConvolutionDepthWise conv 1 1 a b 0=4 1=1 6=8 7=2"
    found = read(_write(tmp_path, _param(line), FP32 + _floats(*range(8))))
    assert found["conv.weight"].shape == (4, 2, 1, 1)


def test_a_scale_from_a_blob_keeps_nothing(tmp_path):
    assert read(_write(tmp_path, _param("Scale s 2 1 a b c 0=-233"), b"")) == {}


@pytest.mark.parametrize("length", [0, 3, 4, 20, 30, 70, -1, -12])
def test_a_truncated_bin_is_refused(tmp_path, length):
    path = _write(tmp_path, _param(*LINES), _bin()[:length])
    with pytest.raises(ModelError, match=r"w\.bin ends too early: .* needs \d+ bytes, \d+ are left"):
        read(path)


def test_trailing_bytes_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"w\.bin goes on after its last layer: 4 bytes are left"):
        read(_write(tmp_path, _param(*LINES), _bin() + bytes(4)))


def test_a_custom_layer_that_kept_weights_cannot_slip_through(tmp_path):
    """Its bytes belong to nobody, wherever it stands."""
    own, conv = "MyNorm own 1 1 a b 0=2", "Convolution conv 1 1 b c 0=2 1=1 6=2"
    weights = FP32 + _floats(1, 2)
    with pytest.raises(ModelError, match="Convolution conv has tag 0x3f800000"):
        read(_write(tmp_path, _param(own, conv), _floats(1, 2) + weights))
    with pytest.raises(ModelError, match="goes on after its last layer: 8 bytes"):
        read(_write(tmp_path, _param(conv, own), weights + _floats(1, 2)))


@pytest.mark.parametrize("size", [2_147_483_646, 10**12])
def test_a_layer_that_claims_a_terabyte_is_refused_before_memory_is_asked_for(tmp_path, size):
    line = f"Convolution conv 1 1 a b 0=2 1=1 6={size}"
    with pytest.raises(
        ModelError, match=r"needs 8589934584 bytes, 8 are left|is a whole number up to 2147483647"
    ):
        read(_write(tmp_path, _param(line), FP32 + _floats(1, 2)))


@pytest.mark.parametrize(
    ("tag", "shown"), [(0x000D4B38, "0xd4b38"), (0xFFFFFFFF, "0xffffffff"), (0x0002C056, "0x2c056")]
)
def test_another_tag_is_refused_by_layer(tmp_path, tag, shown):
    path = _write(tmp_path, _param(*LINES), _bin(depthwise=struct.pack("<I", tag) + bytes(8)))
    with pytest.raises(
        ModelError,
        match=rf"weights are fp32 \(tag 0\) or fp16 \(tag 0x1306b47\), ConvolutionDepthWise dw has tag {shown};",
    ):
        read(path)


@pytest.mark.parametrize(
    "line",
    [
        "Deconvolution up 1 1 a b 0=2 1=1 6=2",
        "LSTM cell 1 1 a b 0=2 1=2",
        "MemoryData table 0 1 a 0=2",
        "Convolution1D up 1 1 a b 0=2 1=1 6=2",
        "Convolution conv 1 1 a b 0=2 1=1 6=2 19=1",
    ],
)
def test_a_builtin_that_keeps_other_weights_is_named(tmp_path, line):
    kind, name = line.split()[:2]
    with pytest.raises(
        ModelError, match=rf"{kind} {name} keeps weights that we do not read; give a network of Convolution,"
    ):
        read(_write(tmp_path, _param(line), bytes(100)))


@pytest.mark.parametrize(
    "fields",
    ["0=2 1=1 6=3", "0=0 1=1 6=2", "0=2 1=0 6=2", "0=2 1=1 6=0", "0=2 1=1 6=2 8=1", "0=2 1=3 11=0 6=6", ""],
)
def test_fields_that_do_not_fit_each_other_are_refused(tmp_path, fields):
    with pytest.raises(ModelError, match=r"outputs and kernel divide the \d+ weights of Convolution conv"):
        read(_write(tmp_path, _param(f"Convolution conv 1 1 a b {fields}"), bytes(100)))


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("", r"an ncnn \.param starts with 7767517, .*w\.param does not"),
        ("\x00\x01\x02", r"starts with 7767517, .*; give the text form, not \.param\.bin"),
        ("7767518\n1 1\nInput data 0 1 data\n", "starts with 7767517"),
        ("7767517\n2 2\nInput data 0 1 data\n", "announces 2 layers and holds 1; fetch it again"),
        ("7767517\n1000000000000 2\nInput data 0 1 data\n", "the count of layers is a whole number"),
        ("7767517\n1 1\nInput data 0\n", "a layer is type, name, inputs, outputs, got 'Input'"),
        ("7767517\n1 1\nInput data x 1 data\n", "the blobs of data is a whole number"),
        ("7767517\n1 1\nPReLU act 1 1 a b 0=x\n", "field 0 of PReLU act is a whole number .* got 'x'"),
        (_param("PReLU act 1 1 a b 0=1", "PReLU act 1 1 b c 0=1"), "act is there twice"),
    ],
)
def test_a_param_that_does_not_hold_together_is_refused(tmp_path, param, message):
    with pytest.raises(ModelError, match=message) as caught:
        read(_write(tmp_path, param, bytes(8)))
    assert "w.param" in str(caught.value)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_half_a_model_is_refused(tmp_path, suffix):
    other = {".param": ".bin", ".bin": ".param"}[suffix]
    path = _write(tmp_path, _param(), b"")
    path.with_suffix(other).unlink()
    with pytest.raises(
        ModelError, match=rf"an ncnn model is two files, there is no .*w\{other}; put it beside w\{suffix}"
    ):
        read(path.with_suffix(suffix))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "convolutions", "params"),
    [
        ("squeezenet-v1.1-ncnn/squeezenet_v1.1.param", 26, 1_235_496),
        ("nanodet-m-ncnn/nanodet_m.param", 73, 941_818),
        ("nanodet-plus-m-416-ncnn/nanodet_plus_m_416_ncnn_fp16.param", 110, 1_186_346),
        ("yolox-nano-ncnn/yoloxN.param", 113, 904_463),
        ("yolo-fastest-1.1/sample/ncnn/model/yolo-fastest-1.1.param", 84, 326_166),
    ],
)
def test_published_files(shared, file, convolutions, params):
    found = read(shared / "weights" / file)
    assert sum(v.dim() == 4 for v in found.values()) == convolutions
    assert sum(v.numel() for v in found.values()) == params
    assert len(found) == 2 * convolutions
    assert all(v.isfinite().all() for v in found.values())


@pytest.mark.shared
def test_ncnn_and_darknet_tell_of_one_network(shared):
    """YOLO-Fastest was published in both: its batch norms folded, darknet's numbers are ncnn's to half precision."""
    folder = shared / "weights" / "yolo-fastest-1.1"
    theirs = read(folder / "sample" / "ncnn" / "model" / "yolo-fastest-1.1.param")
    ours = read_darknet(folder / "ModelZoo" / "yolo-fastest-1.1_coco" / "yolo-fastest-1.1.weights")
    kernels = [(k.removesuffix("conv.weight"), v) for k, v in ours.items() if v.dim() == 4]
    pairs = list(theirs.values())
    for (section, kernel), weight, bias in zip(kernels, pairs[::2], pairs[1::2], strict=True):
        if f"{section}bn.weight" in ours:
            scale, shift, mean, var = (
                ours[f"{section}bn.{leaf}"].double()
                for leaf in ("weight", "bias", "running_mean", "running_var")
            )
            factor = scale / (var + 1e-5).sqrt()
            kernel, shift = kernel * factor.reshape(-1, 1, 1, 1), shift - mean * factor
        else:
            shift = ours[f"{section}conv.bias"].double()
        assert weight.shape == kernel.shape
        assert (weight - kernel).abs().max() <= 1e-3 * kernel.abs().max()
        assert (bias - shift).abs().max() <= 1e-6 * shift.abs().max()
