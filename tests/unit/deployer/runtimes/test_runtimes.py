"""What it takes to run a version, as data: nothing is started here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from deployer.local import models
from deployer.runtimes.base import Launch, ModelMissing, Process, RestCall
from deployer.runtimes.oip import process as oip
from deployer.runtimes.registry import RUNTIMES
from deployer.runtimes.seldon import process as seldon
from deployer.runtimes.tfserving import process as tfserving
from deployer.runtimes.triton import process as triton
from protos import methods, oip_pb2, seldon_pb2, tfs_pb2

PYTHON = Path("/cache/environments/tfserving-1/bin/python")


def launch(**changes: Any) -> Launch:
    values: dict[str, Any] = {
        "deployment": "digits",
        "version": "v2",
        "servable": 2,
        "model": Path("/models/digits/2"),
        "rest": 8501,
        "grpc": 8500,
        "folder": Path("/state/replica"),
        "program": PYTHON,
    }
    return Launch(**{**values, **changes})


def test_the_stand_in_is_started_with_the_real_servers_flags() -> None:
    stand_in = tfserving.command(launch())
    real = tfserving.command(launch(program=Path("/usr/bin/tensorflow_model_server")))
    assert stand_in.server == "stand-in"
    assert stand_in.argv[:4] == (str(PYTHON), "-I", "-u", str(tfserving.STAND_IN))
    assert tfserving.STAND_IN.is_file()
    assert real.server == "tensorflow_model_server"
    assert real.argv[0] == "/usr/bin/tensorflow_model_server"
    assert real.argv[1:] == stand_in.argv[4:]
    assert {
        "--port=8500",
        "--rest_api_port=8501",
        "--model_config_file=/state/replica/models.config",
        "--allow_version_labels_for_unavailable_models=true",
    } <= set(real.argv)


def test_a_version_is_the_only_servable_and_bears_both_labels() -> None:
    process = tfserving.command(launch())
    assert process.files == {
        Path("/state/replica/models.config"): (
            "model_config_list {\n"
            "  config {\n"
            '    name: "digits"\n'
            '    base_path: "/models/digits"\n'
            '    model_platform: "tensorflow"\n'
            "    model_version_policy { specific { versions: 2 } }\n"
            '    version_labels { key: "stable" value: 2 }\n'
            '    version_labels { key: "canary" value: 2 }\n'
            "  }\n"
            "}\n"
        )
    }
    assert process.links == {}
    assert process.cwd == Path("/state/replica")


def test_a_servable_that_is_not_the_folders_name_gets_a_link() -> None:
    process = tfserving.command(launch(servable=7))
    assert process.links == {Path("/state/replica/model/7"): Path("/models/digits/2")}
    assert 'base_path: "/state/replica/model"' in next(iter(process.files.values()))


def test_a_path_can_not_break_out_of_the_configuration() -> None:
    process = tfserving.command(launch(model=Path('/m"\n}é\\/2')))
    assert 'base_path: "/m\\042\\012}\\303\\251\\134"\n' in next(iter(process.files.values()))


def test_tfserving_needs_a_servable_number() -> None:
    with pytest.raises(ValueError, match="digits: TensorFlow Serving needs a servable number"):
        tfserving.command(launch(servable=None))


def test_the_questions_to_tfserving_name_the_version() -> None:
    process = tfserving.command(launch(warmup={"instances": [[1]]}))
    assert process.status == RestCall("GET", "/v1/models/digits/versions/2")
    assert process.ready == RestCall("GET", "/v1/models/digits/versions/2/metadata")
    assert process.warmup == RestCall("POST", "/v1/models/digits/versions/2:predict", b'{"instances": [[1]]}')
    assert process.ready_grpc.path == methods.GET_MODEL_METADATA.path
    asked = tfs_pb2.GetModelMetadataRequest.FromString(process.ready_grpc.message)
    assert (asked.model_spec.name, asked.model_spec.version.value) == ("digits", 2)
    assert list(asked.metadata_field) == ["signature_def"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_users_environment_reaches_the_process(runtime: str) -> None:
    process = RUNTIMES[runtime].process(launch(env={"TF_CPP_MIN_LOG_LEVEL": "3", "A": "b"}, implementation="own.Model"))
    assert process.env["A"] == "b"
    assert process.env["TF_CPP_MIN_LOG_LEVEL"] == "3"


@pytest.mark.parametrize(
    ("state", "message", "failure"),
    [
        ("START", "", None),
        ("LOADING", "", None),
        ("AVAILABLE", "", None),
        ("END", "no such op", "no such op"),
        ("END", "", "the model server has ended the model without an error"),
    ],
)
def test_only_an_ended_model_has_failed(state: str, message: str, failure: str | None) -> None:
    status = {"version": "2", "state": state, "status": {"error_code": "OK", "error_message": message}}
    assert tfserving.failure({"model_version_status": [status]}) == failure


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"error": "x"}, {"model_version_status": []}, {"model_version_status": 1}]
)
def test_an_answer_that_is_no_status_is_no_failure(answer: Any) -> None:
    assert tfserving.failure(answer) is None


def tensor(dtype: str, *sizes: int) -> dict[str, Any]:
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False}}


def metadata(**signatures: dict[str, Any]) -> Any:
    predict = "tensorflow/serving/predict"
    return {
        "metadata": {
            "signature_def": {
                "signature_def": {
                    name: {"inputs": inputs, "method_name": predict} for name, inputs in signatures.items()
                }
            }
        }
    }


PLAIN = {"x": tensor("DT_FLOAT", -1, 3)}


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (metadata(serving_default=PLAIN), {"signature_name": "serving_default", "inputs": {"x": [[0, 0, 0]]}}),
        (
            metadata(a={"y": tensor("DT_BOOL")}, serving_default=PLAIN),
            {"signature_name": "serving_default", "inputs": {"x": [[0, 0, 0]]}},
        ),
        (
            metadata(a={"s": tensor("DT_STRING", 2), "n": tensor("DT_INT64", -1, 0)}),
            {"signature_name": "a", "inputs": {"s": ["", ""], "n": [[]]}},
        ),
        (
            metadata(serving_default={"x": tensor("DT_HALF", 1)}, other={"x": tensor("DT_BOOL")}),
            {"signature_name": "other", "inputs": {"x": False}},
        ),
        (metadata(serving_default={"x": tensor("DT_HALF", 1)}), None),
        (metadata(serving_default={"x": {"dtype": "DT_FLOAT", "tensor_shape": {"unknown_rank": True}}}), None),
        (metadata(serving_default={"x": tensor("DT_FLOAT", 10**5, 10**5)}), None),
        (metadata(serving_default={}), None),
        (metadata(), None),
        ({}, None),
        (None, None),
    ],
)
def test_a_warm_up_is_made_up_of_zeros(answer: Any, body: Any) -> None:
    call = tfserving.derived_warmup(answer, "/v1/models/m/versions/1")
    if body is None:
        assert call is None
    else:
        assert call is not None
        assert (call.method, call.path) == ("POST", "/v1/models/m/versions/1:predict")
        assert call.body is not None
        assert json.loads(call.body) == body


def seldon_process(**changes: Any) -> Process:
    return seldon.command(launch(servable=None, model=Path("/models/seldon/v1/Digits.py"), **changes))


def test_seldon_runs_the_class_in_its_folder_with_ports_by_its_variables() -> None:
    process = seldon_process()
    assert process.server == "seldon-core-microservice"
    assert process.argv == (str(PYTHON), "-I", "-B", "-u", str(seldon.LAUNCHER), "Digits")
    assert seldon.LAUNCHER.is_file()
    assert process.cwd == Path("/models/seldon/v1")
    assert process.env["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "8501"
    assert process.env["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"] == "8500"
    assert process.ready == RestCall("GET", "/health/status")
    assert (process.warmup, process.warmup_grpc, process.status) == (None, None, None)
    assert process.derive({"any": "answer"}) is None


def test_seldons_two_processes_are_both_warmed() -> None:
    body = {"data": {"ndarray": [[1.0, 2.0]]}}
    process = seldon_process(warmup=body)
    assert process.warmup == RestCall("POST", "/api/v1.0/predictions", json.dumps(body).encode())
    assert process.warmup_grpc is not None
    assert process.warmup_grpc.path == methods.SELDON_PREDICT.path
    sent = seldon_pb2.SeldonMessage.FromString(process.warmup_grpc.message)
    assert json_format.MessageToDict(sent) == body


def test_a_warm_up_that_is_no_seldon_message_is_refused() -> None:
    with pytest.raises(ValueError, match="the warm-up is no Seldon message"):
        seldon_process(warmup={"instances": [[1]]})


def test_models_are_found_or_the_mistake_is_named(tmp_path: Path) -> None:
    saved = tmp_path / "digits" / "1"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").touch()
    assert models.located("tfserving", saved) == saved
    code = tmp_path / "seldon"
    code.mkdir()
    (code / "Digits.py").touch()
    (code / "helpers.py").touch()
    assert models.located("seldon", code) == code / "Digits.py"
    assert models.located("seldon", code / "helpers.py") == code / "helpers.py"
    (code / "Other.py").touch()
    (code / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    assert models.located("triton", code.parent / "digits") == code.parent / "digits"
    for runtime, path, mistake in (
        ("triton", code / "Digits.py", "a file, but triton needs a folder"),
        ("triton", tmp_path / "empty", "it holds no model.py (or another model file), no config.pbtxt"),
        ("tfserving", tmp_path / "digit" / "1", f"{tmp_path} has nothing called digit"),
        ("tfserving", tmp_path / "digitz", f"did you mean {tmp_path / 'digits'}?"),
        ("tfserving", tmp_path / "digits", f"name one of its versions, such as {saved}"),
        ("tfserving", tmp_path / "empty", "it holds no saved_model.pb; export one there"),
        ("tfserving", code / "Digits.py", "a file, but tfserving needs a SavedModel's folder"),
        ("seldon", code, "the files Digits.py, Other.py named after a model class"),
        ("seldon", tmp_path / "empty", "no Python file named after a model class"),
        ("seldon", code / "notes.txt", "no Python file named after its model class"),
    ):
        with pytest.raises(ModelMissing) as caught:
            models.located(runtime, path)
        assert mistake in str(caught.value)


def test_mlserver_serves_one_model_in_one_version() -> None:
    process = oip.command(launch(implementation="own.Model", warmup={"inputs": []}))
    files = {path: json.loads(text) for path, text in process.files.items()}
    settings = files.pop(Path("/state/replica/settings.json"))
    assert (settings["host"], settings["http_port"], settings["grpc_port"]) == ("127.0.0.1", 8501, 8500)
    assert files == {
        Path("/state/replica/digits/model-settings.json"): {
            "name": "digits",
            "implementation": "own.Model",
            "parameters": {"uri": "/models/digits/2", "version": "v2"},
        }
    }
    assert process.argv[-2:] == ("start", "/state/replica")
    assert process.ready == RestCall("GET", "/v2/models/digits/versions/v2/ready")
    assert process.warmup == RestCall("POST", "/v2/models/digits/infer", b'{"inputs": []}')
    assert process.ready_grpc.path == methods.OIP_MODEL_READY.path
    assert oip_pb2.ModelReadyRequest.FromString(process.ready_grpc.message) == oip_pb2.ModelReadyRequest(
        name="digits", version="v2"
    )


def test_mlserver_needs_an_implementation() -> None:
    with pytest.raises(ValueError, match="digits: MLServer has to be told by an implementation what loads the model"):
        oip.command(launch())


@pytest.mark.parametrize("folder", [True, False])
def test_mlserver_loads_a_file_or_a_folder_and_runs_there(tmp_path: Path, folder: bool) -> None:
    model = tmp_path / "model"
    if folder:
        model.mkdir()
    else:
        model.write_text("")
    located = models.located("oip", model)
    assert located == model
    assert oip.command(launch(model=located, implementation="own.Model")).cwd == (model if folder else tmp_path)


@pytest.mark.parametrize(
    ("servable", "place", "ready"),
    [(2, "digits/2", "/v2/models/digits/versions/2/ready"), (None, "digits", "/v2/models/digits/ready")],
)
def test_triton_serves_a_version_or_a_whole_model_on_this_machine_alone(
    servable: int | None, place: str, ready: str
) -> None:
    process = triton.command(launch(servable=servable, warmup={"inputs": []}))
    assert triton.LAUNCHER.is_file()
    assert process.argv[3:7] == (str(triton.LAUNCHER), "/state/replica", "/models/digits/2", place)
    assert {
        "--http-address=127.0.0.1",
        "--http-port=8501",
        "--grpc-address=127.0.0.1",
        "--grpc-port=8500",
        "--allow-metrics=false",
    } <= set(process.argv)
    assert process.ready == RestCall("GET", ready)
    assert process.warmup == RestCall("POST", "/v2/models/digits/infer", b'{"inputs": []}')
    assert oip_pb2.ModelReadyRequest.FromString(process.ready_grpc.message) == oip_pb2.ModelReadyRequest(
        name="digits", version=str(servable or "")
    )


@pytest.mark.parametrize(
    ("index", "failure"),
    [
        ([{"name": "digits", "version": "1", "state": "READY"}], None),
        ([{"name": "digits", "version": "1", "state": "LOADING"}], None),
        ([{"name": "digits", "version": "1", "state": "UNAVAILABLE", "reason": "no such op"}], "no such op"),
        ([{"name": "digits", "version": "1", "state": "UNAVAILABLE", "reason": ""}], None),
        ([], None),
        ({"error": "x"}, None),
        (None, None),
    ],
)
def test_only_a_model_that_triton_gave_up_has_failed(index: Any, failure: str | None) -> None:
    assert triton.failure(index) == failure
