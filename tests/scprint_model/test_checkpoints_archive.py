"""Files that mean harm, and files that came to harm."""

import logging
import os
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.fabric.utilities.data import AttributeDict

from scprint_model.checkpoints.archive import MAX_PICKLE_BYTES, open_archive
from scprint_model.checkpoints.safe_pickle import named_globals, plain_name

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2]), "t": torch.arange(6.0).reshape(2, 3).T}


class Reduced:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(file, **more):
    torch.save({"state_dict": STATE, "epoch": 3, **more}, file)
    return file


def rewrite(path, edit, *, compression=zipfile.ZIP_STORED):
    """Write the records of a zip again, after `edit` of a list of (name, bytes)."""
    with zipfile.ZipFile(path) as old:
        records = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, data in edit(records):
            new.writestr(name, data)


def test_content_and_tensors_come_back(tmp_path):
    path = write(tmp_path / "x.ckpt")
    before = path.read_bytes()
    archive = open_archive(path)
    assert archive.content["epoch"] == 3
    read = archive.read({key: archive.content["state_dict"][key] for key in STATE})
    for key, value in STATE.items():
        torch.testing.assert_close(read[key], value, rtol=0, atol=0)
        assert read[key].is_contiguous()
    read["a"].add_(1)  # memory of its own
    assert path.read_bytes() == before


def test_views_of_one_storage_and_empty_tensors(tmp_path):
    base = torch.arange(10.0)
    path = tmp_path / "x.ckpt"
    state = {"head": base[:4], "tail": base[6:], "none": torch.empty(0, 3), "half": base[:2].half()}
    torch.save({"state_dict": state, "optimizer_states": [torch.ones(99)]}, path)
    archive = open_archive(path)
    for key, value in archive.read(archive.content["state_dict"]).items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (lambda at: Reduced(os.system, f"touch {at}"), r"posix\.system \(os\.system\)"),
        (lambda at: [{"deep": (Reduced(eval, f"open({str(at)!r}, 'w')"),)}], r"builtins\.eval"),
        (lambda _: Reduced(getattr, Reduced(__import__, "os"), "system"), r"builtins\.__import__, builtins\.getattr"),
        (lambda _: Reduced(bytearray, 1 << 62), r"builtins\.bytearray"),
        (lambda _: Reduced(torch.UntypedStorage, 1 << 62), r"torch\.storage\.UntypedStorage"),
        (lambda _: Reduced(torch.hub.load, "evil/repo"), r"torch\.hub\.load"),
        (lambda _: Path.cwd, r"pathlib\.Path|builtins\.getattr"),
    ],
)
def test_what_could_run_is_refused_by_name(tmp_path, harm, name):
    proof = tmp_path / "it ran"
    path = write(tmp_path / "x.ckpt", hyper_parameters=harm(proof))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"refused: it names .*({name}).*Nothing was run.*unsafe=True"):
        open_archive(path)
    assert not proof.exists()
    assert path.read_bytes() == before


def test_the_way_around_is_loud(tmp_path, caplog):
    proof = tmp_path / "it ran"
    path = write(tmp_path / "x.ckpt", extra=Reduced(os.mkdir, str(proof)))
    with pytest.warns(UserWarning, match=r"UNSAFE: .*posix\.mkdir"), caplog.at_level(logging.WARNING):
        archive = open_archive(path, unsafe=True)
    assert proof.is_dir()
    assert "UNSAFE" in caplog.text
    torch.testing.assert_close(archive.read({"a": archive.content["state_dict"]["a"]})["a"], STATE["a"])


def test_plain_containers_are_read(tmp_path):
    counts = defaultdict(int, {"x": 2})
    stored = {
        "scalar": np.float32(0.5),
        "integer": np.int64(7),
        "array": np.array([3, 1, 2]),
        "names": np.array(["TP53", "é"], dtype=object),
        "counts": counts,
        "set": {1, 2},
        "frozen": frozenset({3}),
        "path": Path("/data/x.parquet"),
        "ordered": OrderedDict(a=1),
        "attributes": AttributeDict(b=2),
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    content = open_archive(write(tmp_path / "x.ckpt", **stored)).content
    assert (content["scalar"], content["integer"]) == (0.5, 7)
    assert type(content["integer"]) is int
    assert content["array"].tolist() == [3, 1, 2]
    assert content["names"].tolist() == ["TP53", "é"]
    assert content["counts"] == {"x": 2}
    assert content["set"] == {1, 2}
    assert content["frozen"] == {3}
    assert content["path"] == "/data/x.parquet"
    assert content["ordered"] == {"a": 1}
    assert content["attributes"] == {"b": 2}
    assert content["size"] == (2, 3)


def test_a_dtype_that_reads_memory_as_objects_is_refused(tmp_path):
    crafted = np.zeros(1, dtype=[("p", "i8")])
    path = write(tmp_path / "x.ckpt", hyper_parameters={"x": crafted})
    with pytest.raises(ValueError, match="numpy array of type 'V8'"):
        open_archive(path)


def test_a_truncated_file_is_told(tmp_path):
    whole = write(tmp_path / "x.ckpt").read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "cut.ckpt").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=r"cut\.ckpt .*truncated or damaged.*download or copy it again"):
            open_archive(tmp_path / "cut.ckpt")


def test_a_flipped_bit_in_a_weight_is_told_with_its_name(tmp_path):
    path = write(tmp_path / "x.ckpt")
    data = bytearray(path.read_bytes())
    at = data.index(STATE["a"].numpy().tobytes())
    data[at + 9] ^= 4
    path.write_bytes(data)
    archive = open_archive(path)
    with pytest.raises(ValueError, match="damaged: the checksum of a does not match"):
        archive.read(archive.content["state_dict"])


def test_a_flipped_bit_in_the_pickle_is_told(tmp_path):
    path = write(tmp_path / "x.ckpt")
    data = bytearray(path.read_bytes())
    data[data.index(b"state_dict") + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"truncated or damaged: Bad CRC-32 for file .*data\.pkl"):
        open_archive(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_a_value_silently(tmp_path, where, bit):
    path = tmp_path / "x.ckpt"
    if not (tmp_path / "whole").exists():
        write(tmp_path / "whole")
    data = bytearray((tmp_path / "whole").read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        archive = open_archive(path)
        read = archive.read(archive.content["state_dict"])
    except ValueError:
        return
    for key, value in STATE.items():  # the flip was in padding or a time stamp
        torch.testing.assert_close(read[key], value, rtol=0, atol=0)
    assert archive.content["epoch"] == 3


def test_compressed_records_are_refused(tmp_path):
    path = write(tmp_path / "x.ckpt")
    rewrite(path, lambda records: [*records, ("x/data/9", bytes(1 << 22))], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"records are compressed, x/data/9 to 1/1,\d{3};.*fill the memory"):
        open_archive(path)


def test_records_that_overlap_are_refused(tmp_path):
    """Many entries of the directory that share one record make a small file claim a large size."""
    path = write(tmp_path / "x.ckpt", big=torch.zeros(4096))
    with zipfile.ZipFile(path, "a") as archive:
        big = max(archive.infolist(), key=lambda record: record.file_size)
        for i in range(50):
            copy = zipfile.ZipInfo(f"x/data/{100 + i}")
            copy.header_offset, copy.CRC = big.header_offset, big.CRC
            copy.file_size = copy.compress_size = big.file_size
            archive.filelist.append(copy)
        archive._didModify = True
    with pytest.raises(ValueError, match=r"refused: its records claim .* bytes, the file has"):
        open_archive(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_are_refused(tmp_path):
    path = write(tmp_path / "x.ckpt")
    rewrite(path, lambda records: [*records, ("x/data.pkl", b"\x80\x02N.")])
    with pytest.raises(ValueError, match=r"several records called 'x/data\.pkl'"):
        open_archive(path)


def test_a_huge_pickle_is_refused(tmp_path):
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"}" * (MAX_PICKLE_BYTES + 1))
    with pytest.raises(ValueError, match="its pickle has 67,108,865 bytes"):
        open_archive(path)


def test_a_tensor_that_claims_more_than_its_record_is_refused(tmp_path):
    path = write(tmp_path / "x.ckpt")

    def shrink(records):
        return [(name, data[:8] if name.endswith("/data/0") else data) for name, data in records]

    rewrite(path, shrink)
    with pytest.raises(ValueError, match=r"damaged: its tensors are not of the sizes of its records|cannot be read"):
        open_archive(path)
    path = tmp_path / "wide.ckpt"
    torch.save({"state_dict": {"wide": torch.zeros(1).expand(1 << 20, 1 << 20)}}, path)
    archive = open_archive(path)
    with pytest.raises(ValueError, match="damaged: wide needs 4,398,046,511,104 bytes, its record has 4"):
        archive.read(archive.content["state_dict"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
        (b"<html>404</html>", "no PyTorch checkpoint: it begins with b'<html>40'"),
        (pickle.dumps({"state_dict": {}}, protocol=2), "bare pickle, the format of PyTorch before 1.6"),
    ],
)
def test_other_files_are_told(tmp_path, data, message):
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        open_archive(tmp_path / "x.ckpt")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*y\.ckpt"):
        open_archive(tmp_path / "y.ckpt")


def test_legacy_files_of_torch_are_refused(tmp_path):
    torch.save({"state_dict": STATE}, tmp_path / "x.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="bare pickle"):
        open_archive(tmp_path / "x.ckpt")


def test_other_zips_and_other_machines_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(ValueError, match=r"no PyTorch checkpoint: it holds \['notes\.txt'\]"):
        open_archive(tmp_path / "x.zip")
    path = write(tmp_path / "x.ckpt")
    rewrite(path, lambda records: [(n, b"big" if n.endswith("byteorder") else d) for n, d in records])
    with pytest.raises(ValueError, match="written on a big-endian machine"):
        open_archive(path)
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match="holds a list, not the dictionary"):
        open_archive(tmp_path / "list.ckpt")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_globals_are_found_in_every_protocol(protocol):
    data = pickle.dumps({"x": [Reduced(os.system, "true"), OrderedDict(a=1), "long text " * 99, 1 << 99]}, protocol)
    assert named_globals(data) == {"posix.system", "collections.OrderedDict"}


def test_globals_by_other_opcodes():
    assert named_globals(b"(S'true'\nios\nsystem\n.") == {"os.system"}
    assert named_globals(b"\x80\x02\x82\x07.") == {"extension 7"}
    assert named_globals(b"c__builtin__\neval\n.") == {"builtins.eval"}
    assert plain_name("posix.system") == "posix.system (os.system)"
    assert plain_name("torch.load") == "torch.load"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x02}", b"X" + struct.pack("<I", 1 << 31) + b"x.", b"\xffx."])
def test_broken_pickles_are_told(data):
    with pytest.raises(ValueError, match="its pickle"):
        named_globals(data)
