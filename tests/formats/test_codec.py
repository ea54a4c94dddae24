"""Codecs give exactly the bytes that were asked for, or one clear error."""

import os
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.kdump import compressor
from formats.codec import CodecFailed, CodecMissing, decompressor

CODECS = ("zlib", "zstd", "snappy", "lzo")
PAGE = (b"some text that repeats, " * 200)[:4096]
PACKAGES = {"zstd": "zstandard", "snappy": "cramjam", "lzo": "lzallright"}


@pytest.mark.parametrize("codec", CODECS)
def test_gives_back_what_was_compressed(codec):
    packed = compressor(codec)(PAGE)

    assert decompressor(codec, 4096)(packed) == PAGE


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 4095, 4097, 1 << 24])
def test_another_size_is_an_error(codec, size):
    packed = compressor(codec)(bytes(size))

    with pytest.raises(CodecFailed, match=f"^{codec}: .*(4096 were expected|did not decompress full frame)"):
        decompressor(codec, 4096)(packed)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kept", [0, 1, 10, -1])
def test_bytes_cut_short_are_an_error(codec, kept):
    packed = compressor(codec)(os.urandom(2048) + bytes(2048))

    with pytest.raises(CodecFailed):
        decompressor(codec, 4096)(packed[:kept])


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_a_page_or_an_error(codec, data):
    try:
        assert len(decompressor(codec, 4096)(data)) == 4096
    except CodecFailed as err:
        assert err.codec == codec


def test_a_zstd_frame_without_its_size_is_bounded():
    import zstandard

    packer = zstandard.ZstdCompressor(write_content_size=False)

    assert decompressor("zstd", 4096)(packer.compress(PAGE)) == PAGE
    with pytest.raises(CodecFailed, match="zstd"):
        decompressor("zstd", 4096)(packer.compress(bytes(1 << 20)))


def test_a_zlib_stream_with_a_wrong_checksum_is_an_error():
    packed = zlib.compress(PAGE)[:-1] + b"?"

    with pytest.raises(CodecFailed, match="incorrect data check"):
        decompressor("zlib", 4096)(packed)


@pytest.mark.parametrize("codec", PACKAGES)
def test_a_missing_library_is_named(codec, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[codec], None)

    with pytest.raises(CodecMissing, match=f"pip install {PACKAGES[codec]}"):
        decompressor(codec, 4096)
