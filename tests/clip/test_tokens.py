"""Texts as CLIP reads them: OpenAI's cleaning, then tokens, start, end, padding."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_clip

from fastsam_onnx.clip.tokens import LONGEST_TEXT, MERGE_COUNT, ClipTokenizer, clean, tokenizer_of_merges
from fastsam_onnx.errors import ModelError, ModelNotFoundError, PromptError


@pytest.fixture(scope="module")
def tokenizer():
    return ClipTokenizer(tokenizer_of_merges(toy_clip.merges()), "toy")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A  Photo\tof a\nDOG ", "a photo of a dog"),
        ("cats &amp; dogs &lt;3", "cats & dogs <3"),
        ("&amp;amp;amp;", "&"),
        ("it&rsquo;s &#39;so&#x27;", "it's 'so'"),
        ("&ltx; &nothing; &", "<x; ¬hing; &"),  # what is left for the two plain rounds is as browsers read it
        ("a < b &amp;amp; c", "a < b & c"),
        ("it’s “quoted” ‚low‘", "it's \"quoted\" 'low'"),
        ("Ａ　ＤＯＧ １２ ｶ", "a dog 12 カ"),
        ("ﬁsh ﬂat ĳs ŉ", "fish flat ijs 'n"),
        ("e\u0301te\u0301", "été"),
        ("\x1b[36;44mblue\x1b[0m \x00\x07\ufeff\ufffct", "blue t"),
        ("na\x92ve \x85", "na've …"),  # Windows-1252 in disguise
        ("\ud83d\udc36 \ud83d", "🐶 \ufffd"),  # a pair of surrogates, and one alone
        ("a\u2028b\rc\u00a0d\u3000e", "a b c d e"),
        ("&EACUTE;", "é"),
        ("\u0130stanbul", "i\u0307stanbul"),
        ("schÃ¶n", "schã¶n"),  # mojibake is not repaired
        ("", ""),
    ],
)
def test_cleaning_is_openais(text, cleaned):
    assert clean(text) == cleaned


@given(st.text())
def test_cleaning_anything_gives_lower_case_without_stray_space(text):
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert cleaned == cleaned.lower()
    assert not any(0xD800 <= ord(character) < 0xE000 for character in cleaned)


def test_ids_begin_and_end_and_are_filled_up(tokenizer):
    start, end = (tokenizer._tokenizer.token_to_id(each) for each in ("<|startoftext|>", "<|endoftext|>"))
    red, dog = (tokenizer._tokenizer.token_to_id(f"{word}</w>") for word in ("red", "dog"))
    short = tokenizer.ids(["Red DOG", "red"], 77, pad_to_length=False, pad_with_end=False)
    assert short.tolist() == [[start, red, dog, end], [start, red, end, 0]]
    full = tokenizer.ids(["red"], 6, pad_to_length=True, pad_with_end=True)
    assert full.tolist() == [[start, red, end, end, end, end]]
    assert full.dtype == np.int64
    assert tokenizer.lengths(full).tolist() == [3]
    assert tokenizer.lengths(short).tolist() == [4, 3]


def test_a_text_that_is_too_long_keeps_its_end(tokenizer):
    end = tokenizer._tokenizer.token_to_id("<|endoftext|>")
    ids = tokenizer.ids(["dog " * 75, "dog " * 76, "dog " * 10_000], 77, pad_to_length=False, pad_with_end=False)
    assert ids.shape == (3, 77)
    assert (ids[:, -1] == end).all()
    assert (ids[0] == ids).all()


def test_space_before_a_text_does_not_count_for_its_length(tokenizer):
    far, near = tokenizer.ids([" \n" * LONGEST_TEXT + "red dog", "red dog"], 77, pad_to_length=True, pad_with_end=False)
    assert far.tolist() == near.tolist()
    assert len(clean("a" * LONGEST_TEXT + "b")) == LONGEST_TEXT


def test_a_text_without_a_token_is_refused(tokenizer):
    with pytest.raises(PromptError, match="at least one word"):
        tokenizer.ids(["dog", "\x00"], 77, pad_to_length=False, pad_with_end=False)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no tokenizer file"):
        ClipTokenizer.open(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot read the tokenizer file"):
        ClipTokenizer.open(tmp_path / "tokenizer.json")


def test_another_models_tokenizer_is_refused():
    from tokenizers import Tokenizer, models

    with pytest.raises(ModelError, match=r"other\.json is not a CLIP tokenizer: it has no <\|startoftext\|>"):
        ClipTokenizer(Tokenizer(models.WordLevel({"dog": 0}, unk_token="dog")), "other.json")
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "dog": 2}
    with pytest.raises(ModelError, match="highest id"):
        ClipTokenizer(Tokenizer(models.WordLevel(words, unk_token="dog")), "other.json")


@pytest.mark.parametrize("packed", [True, False])
def test_openais_list_of_merges_is_read(tmp_path, packed):
    pairs = [*toy_clip.merges(), *[("x", "y")] * MERGE_COUNT]  # the real file, too, has more than it uses
    pairs = list(dict.fromkeys(pairs))
    content = "\n".join(["#version: 0.2", *map(" ".join, pairs)]).encode()
    path = tmp_path / ("merges.txt.gz" if packed else "merges.txt")
    path.write_bytes(gzip.compress(content) if packed else content)
    opened = ClipTokenizer.open(path)
    assert opened.encode("a red dog") == ClipTokenizer(tokenizer_of_merges(pairs), "toy").encode("a red dog")
    assert len(opened.encode("a red dog")) == 3


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("!", [256 + 0]),
        ("~", [256 + 93]),
        ("a~", [256 + 64, 256 + 93]),  # two words
        ("é", [94 + 12 + 21, 256 + 94 + 8]),  # C3 A9
        ("ÿ", [94 + 12 + 21, 256 + 94 + 12 + 17]),  # C3 BF
        ("日", [94 + 12 + 56, 188 + 33 + 24, 256 + 94 + 4]),  # E6 97 A5
    ],
)
def test_bytes_have_openais_ids(text, ids):
    """Printable bytes come first: 94 from ! to ~, 12 from A1 to AC, 82 from AE on; then 33 up to space and 7F to A0."""
    assert ClipTokenizer(tokenizer_of_merges([]), "bytes").encode(text) == ids


def test_a_files_own_truncation_and_padding_do_not_count(tmp_path):
    made = tokenizer_of_merges(toy_clip.merges())
    made.enable_truncation(5)
    made.enable_padding(length=5)
    made.save(str(tmp_path / "tokenizer.json"))
    opened = ClipTokenizer.open(tmp_path / "tokenizer.json")
    assert opened.context_length == 5
    assert len(opened.encode("red dog " * 10)) == 20


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("it&rsquo;s", "it's"),
        ("it&amp;rsquo;s", "it's"),  # what an entity becomes may be one
        ("<b> it&rsquo;s", "<b> it\u2019s"),  # ftfy takes a text with < for HTML, and leaves its entities to the end
    ],
)
def test_entities_are_read_as_often_as_they_are_written(text, cleaned):
    assert clean(text) == cleaned
