"""Texts as CLIP reads them: cleaned as OpenAI's code does, then the ids of a `tokenizer.json`.

A `tokenizer.json` alone skips the cleaning, so that "it’s" with a curly apostrophe, "ﬁsh" with a ligature or "&amp;"
become other tokens than those CLIP was trained with. Source of the behaviour: OpenAI's `clip.simple_tokenizer`
(ftfy's `fix_text`, HTML entities twice, white space, lower case), reference-semantics section 15. Left out of ftfy's
fixes is the repair of mojibake ("schÃ¶n"), which is a guess, and that entities in a text with "<" stay for later.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.arrays import IntArray
from fastsam_onnx.errors import ModelError, ModelNotFoundError, PromptError
from fastsam_onnx.files import is_file

if TYPE_CHECKING:
    import tokenizers

START, END = "<|startoftext|>", "<|endoftext|>"
DEFAULT_CONTEXT_LENGTH = 77
"""Of OpenAI's CLIP."""
MERGE_COUNT = 48_894
"""Number of merges of OpenAI's file that its vocabulary of 49,408 takes."""
LONGEST_TEXT = 100_000
"""Characters that are looked at, after leading space: no context holds the tokens of more."""
MAX_PASSES = 8
"""Fixes are repeated until nothing changes, as an entity may stand for a part of another; no text needs more passes."""

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_TERMINAL_ESCAPE = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
_C1_CONTROLS = re.compile("[\x80-\x9f]")
_WIDTH_FORMS = re.compile("[\uff01-\uffef\u3000]")
_LIGATURES = re.compile("[ĲĳŉǆǅǆǉǈǇǌǋǊǱǲǳǄ\ufb00-\ufb06]")
_LINE_BREAKS = re.compile("\r\n|[\r\u2028\u2029\x85]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]")
_QUOTES = str.maketrans(
    {**dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'"), **dict.fromkeys("\u201c\u201d\u201e\u201f", '"')}
)


def clean(text: str) -> str:
    """A text as OpenAI's tokenizer cleans it, in lower case.

    HTML entities (also escaped twice), curly quotes, full and half width, ligatures, terminal escapes, control
    characters, lone surrogates, canonical composition, white space, lower case. Of a text that is longer than
    LONGEST_TEXT, its beginning.
    """
    text = text.lstrip(" \t\r\n")[:LONGEST_TEXT]  # other space may stand for a character, as \x85 for an ellipsis
    for _ in range(MAX_PASSES):
        fixed = _fix(text)
        if fixed == text:
            break
        text = fixed
    return " ".join(html.unescape(html.unescape(text)).split()).lower()


def _fix(text: str) -> str:
    if "<" not in text:
        text = _ENTITY.sub(_unescaped, text)
    text = _C1_CONTROLS.sub(_of_windows, text)
    text = _LIGATURES.sub(_letters, text)
    text = _WIDTH_FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = text.translate(_QUOTES)
    text = _LINE_BREAKS.sub("\n", text)
    text = _SURROGATE_PAIR.sub(lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    text = _LONE_SURROGATE.sub("\ufffd", text)
    text = _TERMINAL_ESCAPE.sub("", text)
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def _unescaped(match: re.Match[str]) -> str:
    """The character of a whole entity; "&ltx;" is not one, although browsers read "&lt" in it."""
    entity = match[0]
    for spelling in (entity, entity.lower() if entity.isupper() else entity):
        character = html.unescape(spelling)
        if ";" not in character or entity == "&semi;":
            return character if spelling == entity else character.upper()
    return entity


def _of_windows(match: re.Match[str]) -> str:
    """A C1 control character as one of Windows-1252, which it most likely was; itself if that has none."""
    return match[0].encode("latin-1").decode("cp1252", "ignore") or match[0]


def _letters(match: re.Match[str]) -> str:
    return "ſt" if match[0] == "ﬅ" else unicodedata.normalize("NFKC", match[0])


class ClipTokenizer:
    """The tokenizer of a CLIP, from its `tokenizer.json`.

    Attributes:
        context_length: Maximum number of ids of a text, start and end included; None if the file does not say it.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, name: str) -> None:
        """`open` is the way in."""
        start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
        if start is None or end is None:
            raise ModelError(
                f"{name} is not a CLIP tokenizer: it has no {START if start is None else END}; take the tokenizer.json "
                "that comes with the text encoder"
            )
        if end != max(tokenizer.get_vocab().values()):
            raise ModelError(
                f"{name} is not a CLIP tokenizer: {END} must have the highest id, because a text encoder looks for the "
                f"end there, got {end} of {tokenizer.get_vocab_size()}"
            )
        truncation = tokenizer.truncation
        self.context_length: int | None = int(truncation["max_length"]) if truncation else None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self._start, self._end = tokenizer, start, end

    @classmethod
    def open(cls, path: Path) -> ClipTokenizer:
        """Read a `tokenizer.json`, or OpenAI's list of merges, `bpe_simple_vocab_16e6.txt.gz`.

        Raises:
            ModelNotFoundError: If there is no such file.
            ModelError: If it is not a tokenizer of CLIP.
        """
        import tokenizers

        if not is_file(path):
            raise ModelNotFoundError(f"there is no tokenizer file {path}; text prompts need the tokenizer.json of CLIP")
        try:
            if path.suffix == ".json":
                tokenizer = tokenizers.Tokenizer.from_file(str(path))
            else:
                tokenizer = tokenizer_of_merges(read_merges(path))
        except Exception as error:  # the package raises bare Exceptions
            raise ModelError(f"cannot read the tokenizer file {path.name}: {error}") from error
        return cls(tokenizer, path.name)

    def ids(self, texts: Sequence[str], length: int, *, pad_to_length: bool, pad_with_end: bool) -> IntArray:
        """The ids of texts, each begun and ended by its special token; too long a text loses its last tokens.

        Args:
            texts: At least one.
            length: Maximum number of ids of a text, start and end included.
            pad_to_length: Give every text `length` ids instead of only as many as the longest needs.
            pad_with_end: Fill up with the end token, as transformers does, instead of 0, as OpenAI does.

        Returns:
            (n, length or less) int64.

        Raises:
            PromptError: If a text has no token.
        """
        rows = []
        for text in texts:
            encoded = self.encode(clean(text))
            if not encoded:
                raise PromptError(f"a text prompt must have at least one word, got {text[:80]!r}")
            rows.append([self._start, *encoded[: length - 2], self._end])
        width = length if pad_to_length else max(map(len, rows))
        ids = np.full((len(rows), width), self._end if pad_with_end else 0, np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values
        return ids

    def encode(self, cleaned: str) -> list[int]:
        """The ids of a text that is clean, without start and end."""
        ids: list[int] = self._tokenizer.encode(cleaned, add_special_tokens=False).ids
        return ids

    def lengths(self, ids: IntArray) -> IntArray:
        """(n,) number of ids of each row up to the first end token; padding follows."""
        first: IntArray = np.argmax(ids == self._end, axis=1)
        return first + 1


def tokenizer_of_merges(merges: Sequence[tuple[str, str]]) -> tokenizers.Tokenizer:
    """CLIP's tokenizer of byte pairs.

    Args:
        merges: Pairs of symbols, the most frequent first; the last symbol of a word ends with "</w>". Ids are those of
            the 256 bytes, of the same at the end of a word, of the merges, and of start and end.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    symbols = _byte_symbols()
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *map("".join, merges), START, END]
    vocabulary = {word: index for index, word in enumerate(words)}
    model = models.BPE(vocabulary, list(merges), unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words_of_text = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words_of_text, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(START, special=True), AddedToken(END, special=True)])
    return tokenizer


def _byte_symbols() -> list[str]:
    """The 256 characters that stand for bytes: printable ones first, as they are, then the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, printable), *(chr(256 + index) for index in range(256 - len(printable)))]


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of OpenAI's file, `bpe_simple_vocab_16e6.txt.gz`, packed or not.

    A line tells its version; then comes a pair a line, more of them than the vocabulary takes.
    """
    import gzip

    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    pairs = [line.split() for line in text.splitlines()[1 : 1 + MERGE_COUNT]]
    return [(left, right) for left, right in pairs]
