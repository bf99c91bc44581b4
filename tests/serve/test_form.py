"""Multipart forms are read whole, as RFC 2046 and 7578 allow them, and refused when damaged."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from starlette.exceptions import HTTPException
from support.server import BOUNDARY, form_body

from fastsam_onnx.serve.form import Part, read_form

FORM = form_body(("photo", b"\x00\r\n--\xff"), ("conf", "0.1"))
PARTS = [Part("photo", b"\x00\r\n--\xff", "x"), Part("conf", b"0.1", "x")]


@pytest.mark.parametrize(
    "body",
    [
        FORM,
        b"This is a message in MIME format.\r\n" + FORM,  # RFC 2046, 5.1.1: a preamble is to be ignored
        f"a preamble that names --{BOUNDARY} inside a line\r\n".encode() + FORM,
        b"\r\n" + FORM,
        FORM + b"an epilogue\r\n",
    ],
)
def test_parts_in_their_order(body):
    assert read_form(body, BOUNDARY.encode()) == PARTS


def test_names_are_read_as_browsers_write_them():
    body = form_body(("photo", b"1")).replace(b'name="photo"; filename="x"', 'name="é"; filename="☕ ;1.jpg"'.encode())
    assert read_form(body, BOUNDARY.encode()) == [Part("é", b"1", "☕ ;1.jpg")]
    plain = form_body(("photo", b"1")).replace(b'; filename="x"', b"")
    assert read_form(plain, BOUNDARY.encode()) == [Part("photo", b"1", None)]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("filename=\"=?utf-8?B?w7xuLmpwZw==?=\"; filename*=utf-8''%c3%bcn.jpg", "ün.jpg"),  # .NET
        ('filename="=?utf-8?B?w7xuLmpwZw==?="', "ün.jpg"),
        ("filename*=UTF-8''%e2%82%ac%20x.jpg", "€ x.jpg"),
        ("filename=\"x.jpg\"; filename*=iso-8859-1'en'%fcn.jpg", "ün.jpg"),
        ("filename=x.jpg; filename*=klingon''%fc.jpg", "x.jpg"),
        ('filename="=?klingon?B?w7xu?="', "=?klingon?B?w7xu?="),
        ('filename="=?utf-8?B?w?="', "=?utf-8?B?w?="),
    ],
)
def test_names_that_are_not_ascii_are_read_as_net_writes_them(written, name):
    body = form_body(("photo", b"1")).replace(b'filename="x"', written.encode())
    assert read_form(body, BOUNDARY.encode()) == [Part("photo", b"1", name)]


DISPOSITION = b'Content-Disposition: form-data; name="conf"; filename="x"'


@pytest.mark.parametrize(
    "headers",
    [
        DISPOSITION.replace(b"Content-Disposition", b"content-disposition"),
        b'Content-Type: image/png; name="other"\r\n' + DISPOSITION,
        DISPOSITION + b'\r\nContent-Type: image/png; name="other"',
    ],
)
def test_headers_come_in_any_case_and_order(headers):
    assert FORM.count(DISPOSITION) == 1
    assert read_form(FORM.replace(DISPOSITION, headers), BOUNDARY.encode()) == PARTS


@pytest.mark.parametrize("headers", [b"a: b\r\n" * 1000, b"a: " + b"b" * 100_000 + b"\r\n"])
def test_parts_have_few_and_short_headers(headers):
    """Each takes time: the 6 million of a request of 32 MB took 39 s with python-multipart before 0.0.27."""
    with pytest.raises(HTTPException, match="the multipart form is damaged: Maximum header"):
        read_form(FORM.replace(DISPOSITION, headers + DISPOSITION), BOUNDARY.encode())


def test_a_form_without_a_boundary_is_told_where_that_belongs():
    with pytest.raises(HTTPException, match="Content-Type must name the boundary"):
        read_form(FORM, b"")


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (FORM[:-9], BOUNDARY.encode()),
        (FORM, b"another"),
        (FORM, b""),
        (FORM, b"x" * 1000),
        (b"", BOUNDARY.encode()),
        (b"no form at all", BOUNDARY.encode()),
        (FORM.replace(b'name="photo"; ', b""), BOUNDARY.encode()),
        (FORM.replace(DISPOSITION, b"X-Nothing: 1"), BOUNDARY.encode()),  # it has not the name of the part before
        (form_body(*[("conf", "1")] * 17), BOUNDARY.encode()),
    ],
)
def test_damaged_forms_are_400(body, boundary):
    with pytest.raises(HTTPException, match="multipart form") as refusal:
        read_form(body, boundary)
    assert refusal.value.status_code == 400
