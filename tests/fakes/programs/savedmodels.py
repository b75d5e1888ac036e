"""Writes the SavedModels of the stand-in's tests, with TensorFlow: `savedmodels.py FOLDER`."""

import sys
from pathlib import Path

import tensorflow as tf

TYPES = {
    "f": tf.float32,
    "d": tf.float64,
    "i": tf.int32,
    "l": tf.int64,
    "i8": tf.int8,
    "i16": tf.int16,
    "u8": tf.uint8,
    "u32": tf.uint32,
    "u64": tf.uint64,
    "b": tf.bool,
    "s": tf.string,
}


class Echo(tf.Module):
    """Answers its inputs; the strings once more as bytes."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], kind, name=name) for name, kind in TYPES.items()])
    def all(self, *inputs):
        outputs = {name: tf.identity(value) for name, value in zip(TYPES, inputs, strict=True)}
        return {**outputs, "s_bytes": tf.identity(outputs["s"])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(self, text):
        return {"text": tf.identity(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, name="half")])
    def half(self, half):
        return {"half": tf.identity(half)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def uneven(self, x):
        return {"one": x[:1], "all": tf.identity(x)}


class Add(tf.Module):
    """Adds a number, by which a version is known."""

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(float(number))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def add(self, x):
        return {"y": x + self.number}


def main():
    folder = Path(sys.argv[1])
    echo = Echo()
    signatures = {
        "serving_default": echo.all,
        "text": echo.text,
        "half": echo.half,
        "total": echo.total,
        "uneven": echo.uneven,
    }
    tf.saved_model.save(echo, str(folder / "echo" / "1"), signatures)
    for version in (1, 2, 10):
        add = Add(version)
        tf.saved_model.save(add, str(folder / "add" / str(version)), {"serving_default": add.add})
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "saved_model.pb").write_bytes(b"no protobuf at all")


if __name__ == "__main__":
    main()
