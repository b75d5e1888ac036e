"""Our messages against the numbers of TensorFlow's and Seldon's own, and the generated code against its source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.wrappers_pb2 import Int64Value

from protos import compile, oip_pb2, seldon_pb2, tfs_pb2

MESSAGES: dict[Descriptor, str] = {
    tfs_pb2.ModelSpec.DESCRIPTOR: "name=1 version=2 signature_name=3 version_label=4",
    tfs_pb2.PredictRequest.DESCRIPTOR: "model_spec=1 inputs=2 output_filter=3",
    tfs_pb2.PredictResponse.DESCRIPTOR: "outputs=1 model_spec=2",
    tfs_pb2.ClassificationRequest.DESCRIPTOR: "model_spec=1 input=2",
    tfs_pb2.ClassificationResponse.DESCRIPTOR: "result=1 model_spec=2",
    tfs_pb2.RegressionRequest.DESCRIPTOR: "model_spec=1 input=2",
    tfs_pb2.RegressionResponse.DESCRIPTOR: "result=1 model_spec=2",
    tfs_pb2.GetModelMetadataRequest.DESCRIPTOR: "model_spec=1 metadata_field=2",
    tfs_pb2.GetModelMetadataResponse.DESCRIPTOR: "model_spec=1 metadata=2",
    tfs_pb2.GetModelStatusRequest.DESCRIPTOR: "model_spec=1",
    tfs_pb2.GetModelStatusResponse.DESCRIPTOR: "model_version_status=1",
    tfs_pb2.ModelVersionStatus.DESCRIPTOR: "version=1 state=2 status=3",
    tfs_pb2.StatusProto.DESCRIPTOR: "error_code=1 error_message=2",
    tfs_pb2.TensorProto.DESCRIPTOR: "dtype=1 tensor_shape=2 version_number=3 tensor_content=4 float_val=5 double_val=6 "
    "int_val=7 string_val=8 int64_val=10 bool_val=11 half_val=13 uint32_val=16 uint64_val=17",
    tfs_pb2.TensorShapeProto.DESCRIPTOR: "dim=2 unknown_rank=3",
    tfs_pb2.TensorInfo.DESCRIPTOR: "name=1 dtype=2 tensor_shape=3",
    tfs_pb2.SignatureDef.DESCRIPTOR: "inputs=1 outputs=2 method_name=3",
    tfs_pb2.SignatureDefMap.DESCRIPTOR: "signature_def=1",
    seldon_pb2.SeldonMessage.DESCRIPTOR: "status=1 meta=2 data=3 binData=4 strData=5 jsonData=6 customData=7",
    seldon_pb2.DefaultData.DESCRIPTOR: "names=1 tensor=2 ndarray=3 tftensor=4",
    seldon_pb2.Tensor.DESCRIPTOR: "shape=1 values=2",
    seldon_pb2.Meta.DESCRIPTOR: "puid=1 tags=2 routing=3 requestPath=4 metrics=5",
    seldon_pb2.Feedback.DESCRIPTOR: "request=1 response=2 reward=3 truth=4",
    seldon_pb2.Status.DESCRIPTOR: "code=1 info=2 reason=3 status=4",
    oip_pb2.ModelReadyRequest.DESCRIPTOR: "name=1 version=2",
    oip_pb2.ModelReadyResponse.DESCRIPTOR: "ready=1",
    oip_pb2.ModelMetadataRequest.DESCRIPTOR: "name=1 version=2",
    oip_pb2.ModelMetadataResponse.DESCRIPTOR: "name=1 versions=2 platform=3 inputs=4 outputs=5",
    oip_pb2.ModelMetadataResponse.TensorMetadata.DESCRIPTOR: "name=1 datatype=2 shape=3",
    oip_pb2.ModelInferRequest.DESCRIPTOR: "model_name=1 model_version=2 id=3 parameters=4 inputs=5 outputs=6 "
    "raw_input_contents=7",
    oip_pb2.ModelInferRequest.InferInputTensor.DESCRIPTOR: "name=1 datatype=2 shape=3 parameters=4 contents=5",
    oip_pb2.ModelInferRequest.InferRequestedOutputTensor.DESCRIPTOR: "name=1 parameters=2",
    oip_pb2.ModelInferResponse.DESCRIPTOR: "model_name=1 model_version=2 id=3 parameters=4 outputs=5 "
    "raw_output_contents=6",
    oip_pb2.ModelInferResponse.InferOutputTensor.DESCRIPTOR: "name=1 datatype=2 shape=3 parameters=4 contents=5",
    oip_pb2.InferTensorContents.DESCRIPTOR: "bool_contents=1 int_contents=2 int64_contents=3 uint_contents=4 "
    "uint64_contents=5 fp32_contents=6 fp64_contents=7 bytes_contents=8",
    oip_pb2.InferParameter.DESCRIPTOR: "bool_param=1 int64_param=2 string_param=3 double_param=4 uint64_param=5",
}


@pytest.mark.parametrize(("message", "numbers"), MESSAGES.items(), ids=lambda value: getattr(value, "name", ""))
def test_numbers(message: Descriptor, numbers: str) -> None:
    found = sorted(message.fields, key=lambda field: field.number)
    assert " ".join(f"{field.name}={field.number}" for field in found) == numbers


def test_types_that_could_be_mistaken() -> None:
    types = {(message.name, field.name): field.type for message in MESSAGES for field in message.fields}
    assert types["Tensor", "values"] == FieldDescriptor.TYPE_DOUBLE
    assert types["Feedback", "reward"] == FieldDescriptor.TYPE_FLOAT
    assert types["TensorProto", "half_val"] == FieldDescriptor.TYPE_INT32
    assert types["ModelVersionStatus", "version"] == FieldDescriptor.TYPE_INT64
    assert tfs_pb2.ModelSpec.DESCRIPTOR.fields_by_name["version"].message_type is Int64Value.DESCRIPTOR


def test_enumerations() -> None:
    assert dict(tfs_pb2.ModelVersionStatus.State.items()) == {
        "UNKNOWN": 0,
        "START": 10,
        "LOADING": 20,
        "AVAILABLE": 30,
        "UNLOADING": 40,
        "END": 50,
    }
    numbers = (
        "FLOAT 1, DOUBLE 2, INT32 3, UINT8 4, INT16 5, INT8 6, STRING 7, INT64 9, BOOL 10, BFLOAT16 14, UINT16 17, "
    )
    numbers += "HALF 19, UINT32 22, UINT64 23"
    wanted = {f"DT_{name}": int(number) for name, number in (pair.split() for pair in numbers.split(", "))}
    assert dict(tfs_pb2.DataType.items()) == {"DT_INVALID": 0, **wanted}


def test_what_is_committed_is_what_the_sources_give(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "protos.compile", str(tmp_path)], check=True, cwd=compile.HERE.parent)
    made = {path.name: path.read_text() for path in (tmp_path / "protos").iterdir()}
    assert made == {path.name: path.read_text() for path in compile.HERE.glob("*_pb2.py*")}
