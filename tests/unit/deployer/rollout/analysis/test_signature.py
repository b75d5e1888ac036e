"""Which changes of a signature break callers, and how they are told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.rollout.analysis.signature import MOST, Signature, Tensor, difference

IMAGES = Tensor("FLOAT", (-1, 64))
SCORES = Tensor("FLOAT", (-1, 10))
STABLE = Signature({"images": IMAGES}, {"scores": SCORES})


def made(inputs: dict[str, Tensor] | None = None, outputs: dict[str, Tensor] | None = None) -> Signature:
    return Signature(
        {"images": IMAGES} if inputs is None else inputs, {"scores": SCORES} if outputs is None else outputs
    )


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        (STABLE, ""),
        # Inputs
        (made({}), ""),
        (made({"pixels": IMAGES}), "input images is gone; input pixels is new"),
        (made({"images": IMAGES, "mask": IMAGES}), "input mask is new"),
        (made({"images": Tensor("UINT8", (-1, 64))}), "input images is UINT8, where stable's is FLOAT"),
        (made({"images": Tensor("FLOAT", (-1, 784))}),
         "input images has the shape [any, 784], where stable's has [any, 64]"),
        (made({"images": Tensor("FLOAT", (-1, -1))}), ""),
        (made({"images": Tensor("FLOAT", (1, 64))}),
         "input images has the shape [1, 64], where stable's has [any, 64]"),
        (made({"images": Tensor("FLOAT", (-1, 8, 8))}),
         "input images has the shape [any, 8, 8], where stable's has [any, 64]"),
        (made({"images": Tensor("FLOAT")}), ""),
        # Outputs
        (made(outputs={}), ""),
        (made(outputs={"classes": SCORES}), "output scores is gone; output classes is new"),
        (made(outputs={"scores": SCORES, "classes": SCORES}), "output classes is new"),
        (made(outputs={"scores": Tensor("DOUBLE", (-1, 10))}), "output scores is DOUBLE, where stable's is FLOAT"),
        (made(outputs={"scores": Tensor("FLOAT", (-1, -1))}),
         "output scores has the shape [any, any], where stable's has [any, 10]"),
        (made(outputs={"scores": Tensor("FLOAT", (1, 10))}), ""),
        (made(outputs={"scores": Tensor("FLOAT", ())}), "output scores has the shape [], where stable's has [any, 10]"),
        # Both
        (Signature({"images": Tensor("UINT8", (-1, 784))}, {"scores": SCORES}),
         "input images is UINT8, where stable's is FLOAT;"
         " input images has the shape [any, 784], where stable's has [any, 64]"),
    ],
)  # fmt: skip
def test_differences(canary: Signature, expected: str) -> None:
    assert difference(STABLE, canary) == expected


def test_a_model_may_have_more_signatures_but_not_fewer() -> None:
    both = Signature(STABLE.inputs, STABLE.outputs, {"embed": STABLE})
    assert difference(STABLE, both) == ""
    assert difference(both, STABLE) == "signature embed is gone"
    changed = Signature(STABLE.inputs, STABLE.outputs, {"embed": made(outputs={"vector": SCORES})})
    assert difference(both, changed) == "signature embed: output scores is gone; signature embed: output vector is new"


def test_of_many_differences_the_first_are_told() -> None:
    names = [f"feature-{number}" for number in range(20)]
    before = Signature({name: IMAGES for name in names}, {})
    after = Signature({name: Tensor("DOUBLE", (-1, 64)) for name in names}, {})
    parts = difference(before, after).split("; ")
    assert parts[0] == "input feature-0 is DOUBLE, where stable's is FLOAT"
    assert parts[MOST:] == [f"and {20 - MOST} more"]


NAMES = st.sampled_from(["a", "b", "c"])
TENSORS = st.builds(
    Tensor, st.sampled_from(["FLOAT", "INT64"]), st.lists(st.sampled_from([-1, 1, 2]), max_size=3).map(tuple)
)
TOLD = st.dictionaries(NAMES, TENSORS, min_size=1)
SIGNATURES = st.builds(Signature, TOLD, TOLD)


@given(SIGNATURES)
@settings(deadline=None)
def test_a_signature_takes_its_own_place(signature: Signature) -> None:
    assert difference(signature, signature) == ""


@given(SIGNATURES, SIGNATURES, SIGNATURES)
@settings(deadline=None)
def test_what_takes_the_place_of_one_that_takes_the_place_does_too(
    first: Signature, second: Signature, third: Signature
) -> None:
    if not difference(first, second) and not difference(second, third):
        assert difference(first, third) == ""


@given(SIGNATURES, SIGNATURES)
@settings(deadline=None)
def test_each_changed_tensor_is_named(stable: Signature, canary: Signature) -> None:
    text = difference(stable, canary)
    gone = {f"input {name} is gone" for name in stable.inputs.keys() - canary.inputs.keys()}
    gone |= {f"output {name} is gone" for name in stable.outputs.keys() - canary.outputs.keys()}
    parts = text.split("; ") if text else []
    if len(parts) <= MOST:
        assert gone <= set(parts)
    if stable.inputs != canary.inputs and not text:  # then they only widened
        assert stable.inputs.keys() == canary.inputs.keys()
        assert all(canary.inputs[name].type == tensor.type for name, tensor in stable.inputs.items())
