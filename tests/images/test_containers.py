"""What containers say of their frames, from files made byte by byte after their specifications: no ffmpeg needed."""

import struct

import numpy as np
import pytest

from fastsam_onnx.arrays import ceil_div
from fastsam_onnx.images import avi, gif, matroska, mp4, transport
from fastsam_onnx.images.contents import Contents, counts_frames, is_cut, lacks_table, movie_seconds, read_contents


def box(kind, *parts):
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4) + kind + body


def header(kind, scale, length, *, wide=False):
    """An mvhd or mdhd box: version, two dates, ticks a second, ticks."""
    numbers = struct.pack(">QQIQ" if wide else ">IIII", 0, 0, scale, length)
    return box(kind, bytes([wide, 0, 0, 0]), numbers, bytes(80))


def runs(kind, pairs):
    return box(kind, struct.pack(">II", 0, len(pairs)), *(struct.pack(">Ii", *pair) for pair in pairs))


def edit_list(*pieces, wide=False):
    """(length in ticks of the movie, start in ticks of the track) of each piece."""
    entries = (struct.pack(">QqI" if wide else ">IiI", *piece, 1 << 16) for piece in pieces)
    return box(b"edts", box(b"elst", bytes([wide, 0, 0, 0]), len(pieces).to_bytes(4), *entries))


def track(*, steps, count, offsets=None, edits=b"", scale=1000, wide=False, handler=b"vide"):
    tables = [runs(b"stts", steps), box(b"stsz", bytes(8), count.to_bytes(4))]
    if offsets is not None:
        tables.append(runs(b"ctts", offsets))
    media = [
        header(b"mdhd", scale, 0, wide=wide),
        box(b"hdlr", bytes(8), handler),
        box(b"minf", box(b"stbl", *tables)),
    ]
    return box(b"trak", edits, box(b"mdia", *media))


def movie(*tracks, scale=600, length=900, wide=False):
    return box(b"ftyp", b"isom") + box(b"moov", header(b"mvhd", scale, length, wide=wide), *tracks) + box(b"mdat", b"x")


def times_of(data):
    times = mp4.frame_times(memoryview(data))
    return None if times is None else times.tolist()


FIVE = {"steps": [(2, 100), (3, 200)], "count": 5}
"""Frames at 0, 100, 200, 400 and 600 ms."""


class TestMP4:
    @pytest.mark.parametrize("wide", [False, True])
    def test_times_are_the_sums_of_the_steps_of_the_first_video_track(self, wide):
        sound = track(steps=[(9, 7)], count=9, handler=b"soun")
        later = track(steps=[(2, 50)], count=2)
        data = movie(sound, track(**FIVE, wide=wide), later, wide=wide)
        assert times_of(data) == [0, 0.1, 0.2, 0.4, 0.6]
        assert mp4.movie_seconds(memoryview(data)) == 900 / 600

    @pytest.mark.parametrize("offsets", [[(1, 100), (1, 300), (2, 0)], [(1, -100), (1, 100), (2, -200)]])
    def test_frames_that_are_stored_in_another_order_are_given_as_they_are_shown(self, offsets):
        """Stored at 0, 100, 200 and 300 ms; shown at 100, 400, 200 and 300, or 200 earlier."""
        assert times_of(movie(track(steps=[(4, 100)], count=4, offsets=offsets))) == [0, 0.1, 0.2, 0.3]

    @pytest.mark.parametrize("wide", [False, True])
    @pytest.mark.parametrize(
        ("pieces", "seconds"),
        [
            ([(240, 100)], [0, 0.1, 0.3]),  # 240 / 600 s from 0.1 s on: 100, 200 and 400 ms, but not 600
            ([(120, -1), (240, 100)], [0, 0.1, 0.3]),  # a pause before
            ([(0, 200)], [0, 0.2, 0.4]),  # to the end
            ([(0, 601)], None),  # nothing is left
            ([(60, 0), (60, 400)], None),  # two pieces
            ([], None),
        ],
    )
    def test_of_an_edited_track_the_frames_of_its_one_piece(self, pieces, seconds, wide):
        assert times_of(movie(track(**FIVE, edits=edit_list(*pieces, wide=wide)))) == pytest.approx(seconds)

    def test_an_edit_cannot_be_placed_without_the_ticks_of_the_movie(self):
        assert times_of(movie(track(**FIVE, edits=edit_list((240, 0))), scale=0)) is None
        assert mp4.movie_seconds(memoryview(movie(scale=0))) is None

    @pytest.mark.parametrize(
        "changed",
        [
            {"count": 4},
            {"count": 0},
            {"steps": [], "count": 0},
            {"steps": [(20_000_000, 1)], "count": 20_000_000},  # a damaged table may ask for any number
            {"steps": [(6, 1), (-1 % 2**32, 1)]},
            {"scale": 0},
            {"offsets": [(4, 0)]},
        ],
    )
    def test_a_table_that_makes_no_sense_tells_nothing(self, changed):
        assert times_of(movie(track(**FIVE | changed))) is None

    def test_a_table_that_is_cut_short_tells_nothing(self):
        whole = runs(b"stts", [(5, 100)])
        table = box(b"stbl", box(b"stts", whole[8:-1]), box(b"stsz", bytes(8), (5).to_bytes(4)))
        media = [header(b"mdhd", 1000, 0), box(b"hdlr", bytes(8), b"vide"), box(b"minf", table)]
        assert times_of(movie(box(b"trak", box(b"mdia", *media)))) is None

    def test_lengths_of_eight_bytes_and_to_the_end_of_the_file(self):
        whole = movie(track(**FIVE))
        content = whole[len(box(b"ftyp", b"isom")) + 8 : -9]
        for head in ((1).to_bytes(4) + b"moov" + (16 + len(content)).to_bytes(8), bytes(4) + b"moov"):
            data = memoryview(box(b"ftyp", b"isom") + head + content)
            assert times_of(data) == [0, 0.1, 0.2, 0.4, 0.6]
            assert mp4.has_table(data)
            assert not mp4.has_wrong_length(data)

    @pytest.mark.parametrize(
        ("after", "is_wrong"),
        [
            (b"", False),
            (box(b"\xa9too", b"x"), False),  # QuickTime's texts
            (bytes(8), False),  # zeros that a recorder left
            (box(b"mdat", b"abc")[:-1], True),
            (box(b"ab\x1fd", b"abc"), True),
            (box(b"ab\x7fd", b"abc"), True),
        ],
    )
    def test_a_length_is_wrong_where_a_box_is_cut_or_is_none(self, after, is_wrong):
        assert mp4.has_wrong_length(memoryview(movie() + after)) is is_wrong

    def test_what_the_file_is_asked_by_its_path(self, tmp_path):
        path = tmp_path / "a.mp4"
        path.write_bytes(movie(track(**FIVE)))
        assert read_contents(path).seconds.tolist() == [0, 0.1, 0.2, 0.4, 0.6]
        assert (movie_seconds(path), counts_frames(path), lacks_table(path), is_cut(path)) == (1.5, True, False, False)
        path.write_bytes(box(b"ftyp", b"isom") + box(b"mdat", b"recorded"))
        assert (movie_seconds(path), counts_frames(path), lacks_table(path), is_cut(path)) == (None, True, True, False)


UNKNOWN = b"\xff"
"""A size that a live stream does not know."""


def element(kind, *parts, size=None):
    body = b"".join(parts)
    size = (len(body) | 1 << 28).to_bytes(4) if size is None else size
    return kind.to_bytes(ceil_div(kind.bit_length(), 8)) + size + body


def entry(number, kind=matroska.VIDEO, codec=b"V_VP9"):
    return element(0xAE, element(0x83, bytes([kind])), element(0xD7, bytes([number])), element(0x86, codec))


def block(ticks, track=1, flags=0x80, frame=b"\x10"):
    return bytes([0x80 | track]) + ticks.to_bytes(2, signed=True) + bytes([flags]) + frame


def cluster(ticks, *blocks, size=None):
    return element(matroska.CLUSTER, element(matroska.TIMESTAMP, ticks.to_bytes(4)), *blocks, size=size)


def simple(ticks, **more):
    return element(matroska.SIMPLE_BLOCK, block(ticks, **more))


def segment(*clusters, tracks=None, info=b"", size=None):
    parts = (element(matroska.INFO, info), element(matroska.TRACKS, *(tracks or [entry(1)])), *clusters)
    return memoryview(element(0x1A45DFA3, b"\x42\x86\x81\x01") + element(matroska.SEGMENT, *parts, size=size))


def told(data):
    times, is_whole = matroska.frame_times(data)
    return None if times is None else pytest.approx(times.tolist()), is_whole


class TestMatroska:
    @pytest.mark.parametrize("size", [None, UNKNOWN], ids=["known", "live"])
    def test_times_are_those_of_cluster_and_block_in_the_order_in_which_they_are_shown(self, size):
        grouped = element(matroska.BLOCK_GROUP, element(matroska.BLOCK, block(-40, flags=0)), element(0x9B, b"\x28"))
        data = segment(cluster(100, simple(0), simple(80), size=size), cluster(300, simple(0), grouped, size=size))
        assert told(data) == ([0, 0.08, 0.16, 0.2], True)  # at 100, 180, 260 and 300 ms
        live = segment(cluster(100, simple(0), size=size), cluster(300, simple(0), size=size), size=UNKNOWN)
        assert told(live) == ([0, 0.2], True)

    def test_a_tick_is_a_millisecond_unless_the_file_says_another(self):
        clusters = [cluster(0, simple(0), simple(80))]
        assert told(segment(*clusters)) == ([0, 0.08], True)
        assert told(segment(*clusters, info=element(0x2AD7B1, (500_000).to_bytes(4)))) == ([0, 0.04], True)

    def test_only_the_first_video_track_counts(self):
        blocks = [simple(ticks, track=track) for ticks, track in ((0, 1), (10, 2), (20, 3), (30, 2), (35, 1))]
        tracks = [entry(1, kind=2), entry(2), entry(3)]
        assert told(segment(cluster(0, *blocks), tracks=tracks)) == ([0, 0.02], True)
        assert told(segment(cluster(0, *blocks), tracks=[entry(1, kind=2)])) == (None, True)

    def test_frames_that_are_not_shown_do_not_count(self):
        hidden = [simple(0), simple(10, flags=0x88), simple(20, frame=b"\0"), simple(30)]
        assert told(segment(cluster(0, *hidden))) == ([0, 0.02, 0.03], True)
        assert told(segment(cluster(0, *hidden), tracks=[entry(1, codec=b"V_VP8")])) == ([0, 0.03], True)

    @pytest.mark.parametrize("size", [None, UNKNOWN], ids=["known", "live"])
    def test_something_between_the_elements_is_damage(self, size):
        whole = [cluster(0, simple(0), size=size), cluster(100, simple(0), size=size)]
        assert told(segment(*whole)) == ([0, 0.1], True)
        assert told(segment(whole[0], b"\x99\x81x", whole[1])) == (None, False)
        assert told(segment(cluster(0, simple(0), b"\x99\x81x", size=size), whole[1])) == (None, False)
        assert told(segment(*whole)[:-3]) == (None, False)

    def test_a_block_of_no_track_is_damage(self):
        """Overwritten by zeros it was as if it were none: the video was shorter by a frame without a word."""
        blocks = [simple(ticks) for ticks in (0, 40, 80)]
        assert told(segment(cluster(0, *blocks))) == ([0, 0.04, 0.08], True)
        blocks[1] = blocks[1][:2] + bytes(len(blocks[1]) - 2)
        assert told(segment(cluster(0, *blocks))) == (None, False)

    def test_a_length_is_wrong_where_the_file_is_cut_or_goes_on(self):
        data = bytes(segment(cluster(0, simple(0))))
        for file, is_wrong in ((data, False), (data[:-1], True), (data + b"x", True)):
            assert matroska.has_wrong_length(memoryview(file)) is is_wrong
        assert not matroska.has_wrong_length(segment(cluster(0, simple(0)), size=UNKNOWN))

    @pytest.mark.parametrize("data", [b"", b"\x1a", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80"])
    def test_a_file_that_ends_in_its_header_has_no_times(self, data):
        assert told(memoryview(data)) == (None, True)
        assert not matroska.has_wrong_length(memoryview(data))

    def test_an_integer_of_more_bytes_than_are_allowed_is_damage(self):
        """It was an OverflowError."""
        for length, expected in ((8, ([0], True)), (200, (None, False))):
            timed = element(matroska.CLUSTER, element(matroska.TIMESTAMP, b"\1" * length), simple(0))
            assert told(segment(timed)) == expected
            tick = element(0x2AD7B1, b"\1" * length)
            assert told(segment(cluster(0, simple(0)), info=tick)) == expected


def chunk(kind, body):
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def stream_head(kind, *, scale=1, rate=10, codec=b"MJPG"):
    head = kind + bytes(16) + struct.pack("<II", scale, rate) + bytes(28)
    return chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", bytes(16) + codec + bytes(20)))


FRAMES = [b"1st", b"second", b"the third", b"and the fourth"]
VIDEO_ONLY = [(b"00dc", frame) for frame in FRAMES]


def riff(chunks=VIDEO_ONLY, *, heads=None, is_absolute=False, indexed=None, before=b""):
    """A file of (kind, body) chunks; `indexed` gives the numbers of those in the index."""
    front = chunk(b"LIST", b"hdrl" + b"".join(heads or [stream_head(b"vids")])) + before
    start = 12 + len(front) + 8
    movie, places = b"movi", []
    for kind, body in chunks:
        places.append((kind, len(movie) + (start if is_absolute else 0), len(body)))
        movie += chunk(kind, body)
    chosen = places if indexed is None else [places[number] for number in indexed]
    index = b"".join(kind + struct.pack("<III", 16, place, length) for kind, place, length in chosen)
    return chunk(b"RIFF", b"AVI " + front + chunk(b"LIST", movie) + chunk(b"idx1", index))


def chunks_of(data):
    """(numbers met, number of all), None if the file does not tell."""
    found = avi.read_chunks(memoryview(data))
    return None if found is None else (found.numbers.tolist(), len(found.true_places))


class TestAVI:
    @pytest.mark.parametrize("is_absolute", [False, True])
    def test_all_frames_of_a_whole_file_are_where_its_index_says(self, is_absolute):
        data = memoryview(
            riff(is_absolute=is_absolute, before=chunk(b"JUNK", b"odd"), heads=[stream_head(b"vids", scale=2, rate=25)])
        )
        found = avi.read_chunks(data)
        assert (found.numbers.tolist(), found.empty, found.fps, found.is_whole) == ([0, 1, 2, 3], 0, 12.5, True)
        assert found.places.tolist() == found.true_places.tolist() == [0, 1, 2, 3]
        assert avi.has_its_frames(data)

    def test_frames_of_another_stream_do_not_count(self):
        sound = [(b"00wb", b"la"), (b"01dc", b"first"), (b"00wb", b"lala"), (b"01db", b"second")]
        assert chunks_of(riff(sound, heads=[stream_head(b"auds"), stream_head(b"vids")])) == ([0, 1], 2)
        assert chunks_of(riff(sound, heads=[stream_head(b"auds")])) is None

    def test_chunks_without_bytes_hold_no_frame(self):
        """Recorders write them where the picture is the one before; their frames counted as lost."""
        held = [(b"00dc", frame) for frame in (b"first", b"", b"", b"second", b"third", b"")]
        found = avi.read_chunks(memoryview(riff(held)))
        assert (found.numbers.tolist(), found.places.tolist(), found.empty) == ([0, 1, 2], [0, 3, 4], 3)
        assert found.is_whole
        found = avi.read_chunks(memoryview(riff(held).replace(chunk(b"00dc", b"second"), b"", 1)))
        assert (found.numbers.tolist(), found.places.tolist()) == ([0, 2], [0, 3])
        assert found.true_places.tolist() == [0, 3, 4]
        assert not found.is_whole

    def test_frames_in_groups(self):
        grouped = [(b"LIST", b"rec " + chunk(b"00dc", b"first")), (b"00dc", b"second")]
        data = riff(grouped, indexed=[1])
        inner = data.index(b"00dc") - data.index(b"movi")
        listed = data.index(b"idx1")
        index = b"00dc" + struct.pack("<III", 16, inner, 5) + data[listed + 8 :]
        data = data[:listed] + chunk(b"idx1", index)
        assert chunks_of(b"RIFF" + (len(data) - 8).to_bytes(4, "little") + data[8:]) == ([0, 1], 2)

    @pytest.mark.parametrize("lost", range(4))
    def test_a_frame_whose_bytes_are_overwritten_is_lost(self, lost):
        data = riff()
        place = data.index(FRAMES[lost]) - 8
        assert chunks_of(data[:place] + bytes(8) + data[place + 8 :]) == ([n for n in range(4) if n != lost], 4)

    def test_a_frame_whose_length_is_damaged_is_lost_alone(self):
        data = riff()
        place = data.index(b"second") - 4
        assert chunks_of(data[:place] + b"\xff\xff\xff\0" + data[place + 4 :]) == ([0, 2, 3], 4)

    @pytest.mark.parametrize(
        ("frames", "lost"),
        [*((FRAMES, lost) for lost in range(4)), ([b"12", b"12345", b"123456"], 1), ([b"12", b"12345", b"123456"], 2)],
    )
    def test_a_frame_that_is_missing_moves_all_that_follow(self, frames, lost):
        """Its place is that of the next one then, which was taken for it; their sizes tell them apart."""
        data = riff([(b"00dc", frame) for frame in frames])
        gone = chunk(b"00dc", frames[lost])
        assert chunks_of(data.replace(gone, b"", 1)) == ([n for n in range(len(frames)) if n != lost], len(frames))

    @pytest.mark.parametrize(
        "data",
        [
            riff(indexed=[0, 1, 2]),  # it does not cover all
            riff(indexed=[0, 2, 1, 3]),
            riff(indexed=[]),
            riff() + b"added",
            riff().replace(b"idx1", b"JUNK"),
            riff(heads=[stream_head(b"vids", rate=0)]),
            riff(heads=[stream_head(b"vids", scale=0)]),
        ],
    )
    def test_an_index_that_cannot_be_believed_tells_nothing(self, data):
        assert chunks_of(data) is None

    def test_a_length_is_wrong_where_the_file_is_cut_or_something_follows(self):
        odd = bytearray(riff() + b"\0")
        odd[4:8] = (len(odd) - 8).to_bytes(4, "little")  # as long as an odd last chunk and its even byte
        for data, is_wrong in (
            (riff(), False),
            (bytes(odd), False),
            (bytes(odd[:-1]), False),  # the byte that makes it even may be missing
            (bytes(odd[:-2]), True),
            (riff() + chunk(b"RIFF", b"AVIX"), False),  # large files go on so
            (bytes(odd) + b"\0" + chunk(b"RIFF", b"AVIX"), False),
            (riff() + chunk(b"JUNK", b"more"), True),
        ):
            assert avi.has_wrong_length(memoryview(data)) is is_wrong
            assert avi.has_its_frames(memoryview(data)) is not is_wrong
        assert not avi.has_its_frames(memoryview(riff().replace(b"movi", b"none")))

    @pytest.mark.parametrize(("codec", "is_exact"), [(b"MJPG", True), (b"XVID", False)])
    def test_which_frames_are_lost_is_certain_where_each_chunk_is_a_picture(self, tmp_path, codec, is_exact):
        path, data = tmp_path / "a.avi", riff(heads=[stream_head(b"vids", codec=codec)])
        path.write_bytes(data)
        contents = read_contents(path)
        assert contents.is_whole
        assert contents.seconds.tolist() == ([0, 0.1, 0.2, 0.3] if is_exact else [])
        path.write_bytes(data.replace(b"00dc\x06\0\0\0second", bytes(14), 1))
        contents = read_contents(path)
        assert (contents.is_whole, contents.is_exact, contents.counts_chunks) == (False, is_exact, True)
        assert contents.seconds.tolist() == [0, 0.1, 0.2, 0.3]
        assert [contents.number_at(time) for time in (0, 0.1, 0.2, 0.3)] == [0, 2, 3, None]


def gif_picture(colours=b""):
    """A picture of a GIF: its descriptor, colours of its own, and its pixels in two blocks."""
    flags = (len(colours) // 3).bit_length() - 2 | 0x80 if colours else 0
    return b"\x2c" + bytes(8) + bytes([flags]) + colours + b"\2" + b"\3\x3b\x2c\x21" + b"\1\0" + b"\0"


def delay(hundredths):
    return b"\x21\xf9\4\0" + hundredths.to_bytes(2, "little") + b"\0\0"


def gif_file(*parts, colours=bytes(12)):
    flags = (len(colours) // 3).bit_length() - 2 | 0x80 if colours else 0
    return b"GIF89a" + bytes(4) + bytes([flags]) + bytes(2) + colours + b"".join(parts) + b"\x3b"


LOOP = b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0"


class TestGIF:
    @pytest.mark.parametrize("colours", [b"", bytes(6), bytes(768)])
    def test_a_delay_is_of_the_picture_that_follows(self, colours):
        first, picture = gif_picture(), gif_picture(colours)
        data = gif_file(LOOP, delay(4), first, delay(200), picture, delay(3), first, colours=colours)
        assert gif.frame_times(memoryview(data)) == pytest.approx([0, 0.04, 2.04])

    def test_a_picture_without_a_delay_is_shown_for_a_tenth_of_a_second(self):
        data = gif_file(gif_picture(), delay(0), gif_picture(), delay(1), gif_picture(), gif_picture())
        assert gif.frame_times(memoryview(data)) == pytest.approx([0, 0.1, 0.2, 0.21])

    def test_a_file_that_is_cut_off_tells_nothing(self):
        data = gif_file(delay(4), gif_picture(), delay(4), gif_picture())
        for end in range(len(data) - 1):
            assert gif.frame_times(memoryview(data[:end])) is None
        assert gif.frame_times(memoryview(gif_file())) is None


def packet(number, *, stream=7, carries=True, field=b"", is_wrong=False, sync=0x47):
    kinds = carries << 4 | bool(field) << 5
    head = bytes([sync, is_wrong << 7 | stream >> 8, stream & 255, kinds | number % 16])
    return (head + field).ljust(188, b"\xff")


class TestTransport:
    @pytest.mark.parametrize("at_once", [1, 3, 1 << 20])
    @pytest.mark.parametrize(
        ("packets", "is_whole"),
        [
            ([packet(n) for n in range(14, 40)], True),  # 15 is followed by 0
            ([packet(0), packet(1), packet(1), packet(2)], True),  # one may come twice
            ([packet(0), packet(2)], False),
            ([packet(1), packet(0)], False),
            ([packet(0), packet(9, field=b"\1\x80"), packet(10)], True),  # a jump that is announced
            ([packet(0), packet(9, field=b"\1\x10")], False),
            ([packet(0), packet(9, field=b"\0\x80")], False),
            (
                [packet(0), packet(0, carries=False), packet(5, carries=False), packet(1)],
                True,
            ),  # without a payload none is counted
            ([packet(0), packet(5, stream=8), packet(1), packet(6, stream=8), packet(5, stream=0x107)], True),
            ([packet(0), packet(5, stream=8), packet(1), packet(7, stream=8)], False),
            ([packet(0, stream=0x1FFF), packet(5, stream=0x1FFF)], True),  # what fills
            ([packet(0), packet(1, is_wrong=True)], False),
            ([packet(0), packet(1, sync=0x46)], False),
            ([packet(0), packet(1)[:-1]], False),
        ],
    )
    def test_packets_are_numbered_in_their_streams(self, monkeypatch, packets, is_whole, at_once):
        monkeypatch.setattr(transport, "AT_ONCE", at_once)
        assert transport.is_whole(memoryview(b"".join(packets))) is is_whole


def test_half_frames_have_less_than_seven_tenths_of_the_time_between_frames():
    for step, are_frames in ((0.1, True), (0.071, True), (0.069, False), (0.05, False)):
        times = np.arange(10) * step
        assert Contents(True, times, np.arange(10), times).has_frames(10) is are_frames
    assert not Contents().has_frames(10)
    assert Contents(True, np.zeros(1), np.arange(1), np.zeros(1)).has_frames(10)


@pytest.mark.parametrize(
    ("data", "end", "seconds"),
    [
        (bytes(segment(cluster(0, simple(0), simple(80)))), -1, [0, 0.08]),
        (b"".join(packet(n) for n in range(3)), -1, []),
        (b"nothing that we know", None, []),
    ],
)
def test_other_kinds_by_their_path(tmp_path, data, end, seconds):
    path = tmp_path / "a"
    path.write_bytes(data)
    contents = read_contents(path)
    assert (contents.is_whole, contents.seconds.tolist(), contents.counts_chunks) == (True, seconds, False)
    assert (movie_seconds(path), counts_frames(path), lacks_table(path), is_cut(path)) == (None, False, False, False)
    path.write_bytes(data[:end])
    assert read_contents(path).is_whole is (end is None)
    assert is_cut(path) is (end is not None)
