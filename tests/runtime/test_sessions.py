"""Sessions: threads, providers, silence, and errors that name the file."""

import os
import subprocess
import sys
from unittest import mock

import numpy as np
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as compiled
from support import tiny_onnx, toy_clip

from fastsam_onnx import Clip, FastSAM, runtime
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.runtime import sessions


def test_the_default_is_the_cpu_with_our_threads():
    session = runtime.create_session(tiny_onnx.tiny())
    options = session.get_session_options()
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert options.intra_op_num_threads == runtime.default_threads()
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"
    assert not options.enable_mem_pattern


@pytest.mark.parametrize(("version", "spins"), [("1.20.0", "0"), ("1.25.1", "0"), ("1.26.0", "1"), ("2.0.0rc1", "1")])
def test_threads_spin_only_where_there_is_a_limit_to_it(monkeypatch, version, spins):
    monkeypatch.setattr(ort, "__version__", version)
    options = runtime.create_session(tiny_onnx.tiny()).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == spins
    assert 0 < int(options.get_session_config_entry("session.intra_op.spin_duration_us")) <= 1000


def test_threads_are_the_callers():
    assert runtime.create_session(tiny_onnx.tiny(), threads=1).get_session_options().intra_op_num_threads == 1


@pytest.mark.process
def test_the_runtimes_telemetry_is_off(tmp_path):
    """ONNX Runtime 1.32 would keep an identifier below the user's folder, and send what it sees over the network."""
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_onnx.tiny())
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import os, sys; from fastsam_onnx import runtime; runtime.create_session(sys.argv[1]);"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"), str(home))
    for users_own, expected in ({}, "1"), ({"ORT_DISABLE_TELEMETRY": "true"}, "true"):
        command = [sys.executable, "-c", code, str(model)]
        done = subprocess.run(command, env=environment | users_own, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == expected
        assert not [*home.rglob("*")]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", 1025])
def test_threads_that_are_no_count_are_refused(threads):
    with pytest.raises(OptionError, match="threads"):
        runtime.create_session(tiny_onnx.tiny(), threads=threads)


def test_session_options_are_used_as_they_are():
    options = ort.SessionOptions()
    options.intra_op_num_threads = 3
    options.inter_op_num_threads = 2
    used = runtime.create_session(tiny_onnx.tiny(), session_options=options).get_session_options()
    assert (used.intra_op_num_threads, used.inter_op_num_threads) == (3, 2)


def test_session_options_and_threads_contradict_each_other():
    with pytest.raises(OptionError, match="intra_op_num_threads"):
        runtime.create_session(tiny_onnx.tiny(), threads=1, session_options=ort.SessionOptions())


def test_providers_come_by_name_or_with_options():
    providers = [("CPUExecutionProvider", {"use_arena": "0"})]
    assert runtime.create_session(tiny_onnx.tiny(), providers=providers).get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    "providers", [["MoonExecutionProvider"], [("MoonExecutionProvider", {})], ["CPUExecutionProvider", "moon"]]
)
def test_a_provider_that_is_not_here_is_an_error_that_lists_those_that_are(providers):
    with pytest.raises(OptionError, match=r"(?i)moon.*available: .*CPUExecutionProvider"):
        runtime.create_session(tiny_onnx.tiny(), providers=providers)


def test_a_name_that_is_not_utf8_is_told():
    """The message was that of the arguments in C++, longer than a screen."""
    with pytest.raises(ModelError, match="its name and those of its folders must be UTF-8"):
        runtime.create_session("caf\udce9.onnx")


@pytest.mark.parametrize(
    "provider",
    [(), ("CPUExecutionProvider",), ("CPUExecutionProvider", "x"), ["CPUExecutionProvider", {}], (5, {}), 5, None],
)
def test_a_provider_that_is_malformed_is_told_its_form(provider):
    """Some were a ValueError or an IndexError of ours, others a message of ONNX Runtime."""
    with pytest.raises(OptionError, match=r"a provider must be a name or a tuple \(name, options\), got"):
        runtime.create_session(tiny_onnx.tiny(), providers=[provider])


class _OpenVino:
    """Stands in for onnxruntime with OpenVINO: notes what sessions are opened with."""

    def __init__(self, metadata=(), started=True):
        self.opened = []
        self.options = []
        self.metadata = dict(metadata)
        self.started = started

    def __getattr__(self, name):
        return getattr(ort, name)

    def get_available_providers(self):
        return ["OpenVINOExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model, options, providers, **_):  # noqa: N802, as in onnxruntime
        self.opened.append(providers)
        self.options.append(options)
        names = [each if isinstance(each, str) else each[0] for each in providers] if self.started else [sessions.CPU]
        session = mock.Mock()
        session.get_providers.return_value = names
        session.get_modelmeta.return_value.custom_metadata_map = self.metadata
        return session


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("OpenVINOExecutionProvider", {"num_of_threads": "3"}),
        (
            ("OpenVINOExecutionProvider", {"device_type": "CPU", "num_of_threads": "1"}),
            {"device_type": "CPU", "num_of_threads": "1"},
        ),
        ("CPUExecutionProvider", None),
    ],
)
def test_openvino_has_the_threads_unless_it_is_told_others(provider, expected, monkeypatch):
    fake = _OpenVino()
    monkeypatch.setattr(sessions, "load_onnxruntime", lambda: fake)
    runtime.create_session(b"network", providers=[provider], threads=3)
    assert fake.opened == [[provider if expected is None else ("OpenVINOExecutionProvider", expected)]]


def test_openvino_chooses_its_threads_where_the_callers_options_leave_them_open(monkeypatch):
    fake, options = _OpenVino(), ort.SessionOptions()
    monkeypatch.setattr(sessions, "load_onnxruntime", lambda: fake)
    assert options.intra_op_num_threads == 0
    runtime.create_session(b"network", providers=["OpenVINOExecutionProvider"], session_options=options)
    assert fake.opened == [["OpenVINOExecutionProvider"]]


def test_a_provider_that_does_not_start_is_told_and_its_reason_is_in_the_log(monkeypatch, caplog):
    fake = _OpenVino(started=False)
    monkeypatch.setattr(sessions, "load_onnxruntime", lambda: fake)
    runtime.create_session(b"network", providers=["OpenVINOExecutionProvider", "CPUExecutionProvider"])
    runtime.create_session(b"network")
    [record] = caplog.records
    assert record.getMessage() == "OpenVINOExecutionProvider could not be started; in use: CPUExecutionProvider"
    assert [options.log_severity_level for options in fake.options] == [3, 4]  # errors; of the CPU alone nothing


def test_int8_is_not_for_openvino_which_computes_it_wrongly(monkeypatch):
    fake = _OpenVino(metadata={runtime.QUANTIZATION: "int8 QDQ"})
    monkeypatch.setattr(sessions, "load_onnxruntime", lambda: fake)
    runtime.create_session(b"network", providers=["CPUExecutionProvider"])
    with pytest.raises(ModelError, match=r"fast\.onnx is int8.*OpenVINOExecutionProvider.*float32"):
        runtime.create_session(b"network", providers=["OpenVINOExecutionProvider"], name="fast.onnx")


@pytest.mark.skipif("OpenVINOExecutionProvider" in ort.get_available_providers(), reason="it is here")
def test_openvino_that_is_not_here_names_its_package():
    with pytest.raises(OptionError, match="onnxruntime-openvino in place of onnxruntime"):
        runtime.create_session(tiny_onnx.tiny(), providers=["OpenVINOExecutionProvider"])


@pytest.mark.skipif("OpenVINOExecutionProvider" not in ort.get_available_providers(), reason="needs OpenVINO")
def test_openvino_computes_the_same():
    tensor = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    outputs = []
    for provider in ("CPUExecutionProvider", "OpenVINOExecutionProvider"):
        session = runtime.create_session(tiny_onnx.tiny(), providers=[provider], threads=1)
        assert session.get_providers()[0] == provider
        outputs.append(session.run(None, {session.get_inputs()[0].name: tensor}))
    for expected, found in zip(*outputs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("providers", [[], "CPUExecutionProvider", 5, iter(["CPUExecutionProvider"])])
def test_providers_are_a_list(providers):
    with pytest.raises(OptionError, match="list"):
        runtime.create_session(tiny_onnx.tiny(), providers=providers)


def test_a_file_that_is_no_onnx_is_named_with_the_reason(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(
        ModelError, match=r"broken\.onnx.*cannot open it.*42 bytes, beginning with b'version https://git"
    ):
        runtime.create_session(path)
    cut = tiny_onnx.tiny()[:-9]
    with pytest.raises(ModelError, match=rf"or was cut short: it has {len(cut)} bytes"):
        runtime.create_session(cut)


def test_a_time_limit_by_a_signal_passes_as_it_is(tmp_path, monkeypatch):
    """What a handler raises must not become a ModelError, which code that waits for it would miss."""

    def time_is_up(*_, **__):
        raise TimeoutError("time is up")

    model, photo = FastSAM(redraw=False), np.zeros((64, 64, 3), np.uint8)
    photo[16:48, 16:48] = 255
    found = model(photo)
    clip = Clip(toy_clip.write(tmp_path / "clip"))
    clip.embed_texts("red")
    monkeypatch.setattr(ort.InferenceSession, "run", time_is_up)
    with pytest.raises(TimeoutError):
        model(photo)
    with pytest.raises(TimeoutError):
        found.point_prompt([(32, 32)])
    with pytest.raises(TimeoutError):
        clip.embed_texts("blue")
    with pytest.raises(TimeoutError):
        FastSAM(tiny_onnx.tiny())
    monkeypatch.setattr(ort.InferenceSession, "__init__", time_is_up)
    with pytest.raises(TimeoutError):
        FastSAM(tiny_onnx.tiny())


def test_what_onnx_runtime_raises_is_a_model_error(monkeypatch):
    model = FastSAM(tiny_onnx.tiny())
    kinds = (*(kind for kind in vars(compiled).values() if isinstance(kind, type)), RuntimeError, MemoryError)
    for kind in kinds:
        if issubclass(kind, Exception):
            monkeypatch.setattr(ort.InferenceSession, "run", mock.Mock(side_effect=kind("why")))
            with pytest.raises(ModelError, match="why"):
                model(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("text", [b"images", b"output0", b"batch", b"description"])
def test_names_that_are_not_utf_8_are_told(text):
    """ONNX Runtime opens such a file; its names were a bare UnicodeDecodeError."""
    damaged = tiny_onnx.tiny(metadata={"description": "x"}).replace(text, b"\xff" + text[1:])
    with pytest.raises(ModelError, match="its names or its metadata are not UTF-8"):
        FastSAM(damaged)


def test_a_path_with_other_letters_opens(tmp_path):
    path = tmp_path / "Größe 猫.onnx"
    path.write_bytes(tiny_onnx.tiny())
    assert runtime.create_session(path).get_inputs()[0].name == "images"


def test_nothing_is_printed(capfd):
    runtime.create_session(tiny_onnx.tiny())
    with pytest.raises(ModelError):
        runtime.create_session(b"this is not a protobuf")
    assert capfd.readouterr() == ("", "")
