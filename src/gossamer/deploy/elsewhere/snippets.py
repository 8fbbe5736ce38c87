"""Short programs in other languages that give a file its input and read its answer, made from the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Shipped", "snippets"]

_RULES = {
    "short-side-centre-crop": "the middle of the picture, as much of it as has that shape, scaled",
    "squash": "the whole picture, each side scaled by itself",
    "letterbox": "the whole picture scaled in its own shape into the middle, grey (114) beside it",
    "none": "the picture as it is: it has that size already",
}


class Shipped(NamedTuple):
    """One file and what belongs to it; band b of the input is x * scale[b] + shift[b]."""

    path: str
    height: int
    width: int
    bands: int
    rgb: bool
    """Bytes of red, green and blue; else floats."""
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    rule: str
    task: str
    outputs: int
    temperature: float


def snippets(shipped: Shipped) -> str:
    """Sections of Markdown: C++, Android, JavaScript, Raspberry Pi; of a detector the last alone, and what its rows are."""
    if shipped.task == "detect":
        return (
            f"\nThe file gives rows of {4 + shipped.outputs} numbers a place: left, top, right, bottom in pixels of the "
            f"{shipped.width} x {shipped.height} input, then a score for each label. `predict.py` keeps scores above 0.25, of boxes "
            "of one label that overlap by more than 0.6 of their union the best one, and takes the boxes back to the picture.\n"
            + _pi(shipped)
        )
    told = (
        f"\nThe programs below take a picture that has {shipped.width} x {shipped.height} pixels already, values as the "
        f"file has them, its {shipped.bands} bands side by side in each pixel. That is {_RULES[shipped.rule]}; shrink with a "
        "filter that averages. "
        + {
            "classify": "They give a share for each class; the largest is the answer.",
            "multi-label": "They give a probability for each label; those above 0.5 are there.",
            "regress": "They give the numbers themselves.",
        }[shipped.task]
        + "\n"
    )
    if shipped.path.endswith(".tflite"):
        return told + _section("Android (Kotlin, LiteRT)", "kotlin", _litert_kotlin(shipped)) + _pi(shipped)
    return (
        told
        + _section("C++ (ONNX Runtime)", "cpp", _cpp(shipped))
        + _section("Android (Kotlin, ONNX Runtime)", "kotlin", _kotlin(shipped))
        + _section("JavaScript (onnxruntime-web)", "javascript", _javascript(shipped))
        + _pi(shipped)
    )


def _pi(shipped: Shipped) -> str:
    return (
        "\n### Raspberry Pi\n\n64-bit Raspberry Pi OS runs the same file and the same program:\n\n"
        "```\nsudo apt install python3-venv\npython3 -m venv run\nrun/bin/pip install numpy pillow "
        f"{'ai-edge-litert' if shipped.path.endswith('.tflite') else 'onnxruntime'}\nrun/bin/python predict.py picture.jpg\n```\n"
    )


def _section(title: str, language: str, code: str) -> str:
    return f"\n### {title}\n\n```{language}\n{code}```\n"


def _numbers(values: Sequence[float], ending: str = "") -> str:
    return ", ".join(f"{float(value)!r}{ending}" for value in values)


def _cpp(f: Shipped) -> str:
    answers = {
        "classify": f"""  float top = *std::max_element(said.begin(), said.end()), sum = 0;
  for (float& x : said) sum += x = std::exp((x - top) / {f.temperature!r}f);
  for (float& x : said) x /= sum;
""",
        "multi-label": "  for (float& x : said) x = 1 / (1 + std::exp(-x));\n",
        "regress": "",
    }[f.task]
    kind = "std::uint8_t" if f.rgb else "float"
    return f"""#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

// Ort::Env env; Ort::Session session(env, "{f.path}", Ort::SessionOptions());
std::vector<float> predict(Ort::Session& session, const {kind}* picture) {{
  constexpr int height = {f.height}, width = {f.width}, bands = {f.bands};
  const float scale[bands] = {{{_numbers(f.scale, "f")}}}, shift[bands] = {{{_numbers(f.shift, "f")}}};
  std::vector<float> input(bands * height * width);
  for (int place = 0; place < height * width; ++place)
    for (int band = 0; band < bands; ++band)
      input[band * height * width + place] = picture[place * bands + band] * scale[band] + shift[band];
  const std::array<std::int64_t, 4> shape{{1, bands, height, width}};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto tensor = Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
  const char* names[] = {{"input"}};
  const char* wanted[] = {{"{_output(f)}"}};
  auto outputs = session.Run(Ort::RunOptions{{nullptr}}, names, &tensor, 1, wanted, 1);
  const float* first = outputs[0].GetTensorData<float>();
  std::vector<float> said(first, first + {f.outputs});
{answers}  return said;
}}
"""


def _kotlin(f: Shipped) -> str:
    return f"""import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.FloatBuffer
import kotlin.math.exp

// implementation("com.microsoft.onnxruntime:onnxruntime-android:1.+"), the file in assets:
// val session = OrtEnvironment.getEnvironment().createSession(assets.open("model.onnx").readBytes())
{_kotlin_input(f)}
fun predict(session: OrtSession, picture: {_kotlin_kind(f)}): FloatArray {{
    val shape = longArrayOf(1, {f.bands}, {f.height}, {f.width})
    val tensor = OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), FloatBuffer.wrap(input(picture)), shape)
    @Suppress("UNCHECKED_CAST")
    val said = tensor.use {{ session.run(mapOf("input" to it)).use {{ all -> (all[0].value as Array<FloatArray>)[0] }} }}
{_kotlin_answer(f)}}}
"""


def _litert_kotlin(f: Shipped) -> str:
    return f"""import java.nio.FloatBuffer
import kotlin.math.exp
import org.tensorflow.lite.Interpreter

// implementation("com.google.ai.edge.litert:litert:1.+"); an int8 file whose tensors are bytes wants their scales as well
{_kotlin_input(f)}
fun predict(interpreter: Interpreter, picture: {_kotlin_kind(f)}): FloatArray {{
    val answer = Array(1) {{ FloatArray({f.outputs}) }}
    val buffer = java.nio.ByteBuffer.allocateDirect(4 * {f.bands * f.height * f.width}).order(java.nio.ByteOrder.nativeOrder())
    buffer.asFloatBuffer().put(FloatBuffer.wrap(input(picture)))
    interpreter.run(buffer, answer)
    val said = answer[0]
{_kotlin_answer(f)}}}
"""


def _kotlin_kind(f: Shipped) -> str:
    return "ByteArray" if f.rgb else "FloatArray"


def _kotlin_input(f: Shipped) -> str:
    value = "(picture[place * bands + band].toInt() and 255)" if f.rgb else "picture[place * bands + band]"
    return f"""fun input(picture: {_kotlin_kind(f)}): FloatArray {{
    val bands = {f.bands}
    val pixels = {f.height * f.width}
    val scale = floatArrayOf({_numbers(f.scale, "f")})
    val shift = floatArrayOf({_numbers(f.shift, "f")})
    return FloatArray(bands * pixels) {{ at ->
        val band = at / pixels
        val place = at % pixels
        {value} * scale[band] + shift[band]
    }}
}}
"""


def _kotlin_answer(f: Shipped) -> str:
    return {
        "classify": f"""    val top = said.max()
    val shares = said.map {{ exp((it - top) / {f.temperature!r}f) }}
    return FloatArray(said.size) {{ shares[it] / shares.sum() }}
""",
        "multi-label": "    return FloatArray(said.size) { 1 / (1 + exp(-said[it])) }\n",
        "regress": "    return said\n",
    }[f.task]


def _javascript(f: Shipped) -> str:
    answer = {
        "classify": f"""  const top = Math.max(...said);
  const shares = said.map((x) => Math.exp((x - top) / {f.temperature!r}));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((x) => x / sum);
""",
        "multi-label": "  return said.map((x) => 1 / (1 + Math.exp(-x)));\n",
        "regress": "  return said;\n",
    }[f.task]
    stride, first = (4, "the data of a canvas: four bytes a pixel") if f.rgb else (f.bands, "the values")
    return f"""import * as ort from "onnxruntime-web";

// const session = await ort.InferenceSession.create("{f.path}");
// picture: {first}, {f.width} x {f.height} pixels
export async function predict(session, picture) {{
  const pixels = {f.height * f.width}, bands = {f.bands};
  const scale = [{_numbers(f.scale)}], shift = [{_numbers(f.shift)}];
  const input = new Float32Array(bands * pixels);
  for (let place = 0; place < pixels; place++)
    for (let band = 0; band < bands; band++)
      input[band * pixels + place] = picture[place * {stride} + band] * scale[band] + shift[band];
  const tensor = new ort.Tensor("float32", input, [1, bands, {f.height}, {f.width}]);
  const outputs = await session.run({{ input: tensor }});
  const said = Array.from(outputs["{_output(f)}"].data);
{answer}}}
"""


def _output(f: Shipped) -> str:
    return "values" if f.task == "regress" else "scores"
