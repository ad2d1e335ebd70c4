"""Omniglot from a file or from its home: the fixed splits, and nothing half-written when something is wrong."""

import functools
import hashlib
import http.server
import io
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from envs import omniglot
from envs.characters import load_characters
from envs.omniglot import Split

# Characters of each alphabet in the order of the archives' listing (brendenlake/omniglot); the last twenty are the
# evaluation half.
SIZES = {
    **{"Alphabet_of_the_Magi": 20, "Anglo-Saxon_Futhorc": 29, "Arcadian": 26, "Armenian": 41},
    **{"Asomtavruli_(Georgian)": 40, "Balinese": 24, "Bengali": 46, "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14},
    **{"Braille": 26, "Burmese_(Myanmar)": 34, "Cyrillic": 33, "Early_Aramaic": 22, "Futurama": 26, "Grantha": 43},
    **{"Greek": 24, "Gujarati": 48, "Hebrew": 22, "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16},
    **{"Japanese_(hiragana)": 52, "Japanese_(katakana)": 47, "Korean": 40, "Latin": 26, "Malay_(Jawi_-_Arabic)": 40},
    **{"Mkhedruli_(Georgian)": 41, "N_Ko": 33, "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14, "Sanskrit": 42},
    **{"Syriac_(Estrangelo)": 23, "Tagalog": 17, "Tifinagh": 55},
    **{"Angelic": 20, "Atemayar_Qelisayer": 26, "Atlantean": 26, "Aurek-Besh": 26, "Avesta": 26, "Ge_ez": 26},
    **{"Glagolitic": 45, "Gurmukhi": 45, "Kannada": 41, "Keble": 26, "Malayalam": 47, "Manipuri": 40, "Mongolian": 30},
    **{"Old_Church_Slavonic_(Cyrillic)": 45, "Oriya": 46, "Sylheti": 28, "Syriac_(Serto)": 23, "Tengwar": 25},
    **{"Tibetan": 42, "ULOG": 26},
}
EVALUATION = list(SIZES)[30:]


def arrays(drawings=20):
    """Arrays as Omniglot's, whose pictures name the character in two pixels."""
    where = np.repeat(np.arange(50), list(SIZES.values()))
    images = np.zeros((1623, drawings, 28, 28), np.uint8)
    images[:, :, 0, 0], images[:, :, 0, 1] = np.arange(1623)[:, None] // 256, np.arange(1623)[:, None] % 256
    return {
        "images": images,
        "alphabet_idx": where.astype(np.int16),
        "alphabet_names": np.array(list(SIZES)),
        "char_num": np.concatenate([np.arange(1, n + 1) for n in SIZES.values()]).astype(np.int16),
        "is_evaluation": where >= 30,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("omniglot") / "omniglot.npz"
    np.savez_compressed(path, **arrays())
    return path


def identities(part, path, split: Split = "vinyals"):
    images = load_characters(path, part, split).images[:, 0]
    return set((images[:, 0, 0].astype(int) * 256 + images[:, 0, 1]).tolist())


def test_the_fixed_split_has_1028_172_and_423_characters_that_share_none(whole):
    parts = [identities(part, whole) for part in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1028, 172, 423]
    assert len(set.union(*parts)) == 1623
    gurmukhi = sum(list(SIZES.values())[: list(SIZES).index("Gurmukhi")])  # the one alphabet that is divided, 41 to 4
    assert gurmukhi + 40 in parts[0]
    assert gurmukhi + 41 in parts[2]


def test_the_halves_have_964_and_659_characters_that_share_none(whole):
    train, test = (identities(part, whole, "halves") for part in ("train", "test"))
    assert (len(train), len(test), len(train & test)) == (964, 659, 0)
    with pytest.raises(ValueError, match="no part 'validation'; choose from"):
        load_characters(whole, "validation", "halves")


def test_characters_come_by_alphabet_and_number_whatever_order_the_file_has(tmp_path, whole):
    mixed, shuffled = tmp_path / "mixed.npz", np.random.default_rng(0).permutation(1623)
    content = {name: each if name == "alphabet_names" else each[shuffled] for name, each in arrays().items()}
    np.savez_compressed(mixed, **content)
    np.testing.assert_array_equal(load_characters(mixed, "train").images, load_characters(whole, "train").images)


def spoilt(name, value):
    return arrays() | {name: value}


BAD = {
    "pictures of another size": (spoilt("images", np.zeros((1623, 20, 20, 20), np.uint8)), r"images is uint8"),
    "pictures in floats": (spoilt("images", np.zeros((1623, 20, 28, 28), np.float16)), r"images is float16"),
    "bright paper": (spoilt("images", np.full((1623, 20, 28, 28), 255, np.uint8)), "paper is bright"),
    "alphabets beyond": (spoilt("alphabet_idx", np.full(1623, 50, np.int16)), r"\[0, 49\], got 50 to 50"),
    "other alphabets": (
        spoilt("alphabet_names", np.array([f"a{k}" for k in range(50)])),
        r"expected \[1028, 172, 423\]",
    ),
    "an array less": ({"images": arrays()["images"]}, "not Omniglot's file"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=list(BAD))
def test_another_file_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "other.npz"
    np.savez_compressed(path, **content)
    with pytest.raises(ValueError, match=said) as caught:
        load_characters(path, "train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path, whole):
    good, path = whole.read_bytes(), tmp_path / "damaged.npz"
    middle = len(good) // 2
    for damaged in (b"", b"text", good[:middle], good[:middle] + b"\x00" * 64 + good[middle + 64 :], good[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or no npz file"):
            load_characters(path, "train")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot read .*none\.npz: No such file"):
        load_characters(tmp_path / "none.npz", "train")


def archive(alphabets, drawings):
    """The bytes of an archive laid out as Omniglot's, every picture the same."""
    png, out = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ones((105, 105), bool)).save(png, "png")
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("images/", b"")
        for name in alphabets:
            for number in range(1, SIZES[name] + 1):
                for drawing in range(drawings):
                    file.writestr(f"images/{name}/character{number:02}/0001_{drawing:02}.png", png.getvalue())
    return out.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home for the archives on this machine, with one drawing per character and the right checksums."""
    served = tmp_path / "served"
    served.mkdir()
    digests = {}
    for name, alphabets in zip(omniglot.ARCHIVES, (list(SIZES)[:30], EVALUATION), strict=True):
        (served / name).write_bytes(archive(alphabets, 1))
        digests[name] = hashlib.sha256((served / name).read_bytes()).hexdigest()
    handler = functools.partial(Quiet, directory=served)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(omniglot, "HOME", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(omniglot, "ARCHIVES", digests)
    monkeypatch.setattr(omniglot, "DRAWINGS", 1)
    monkeypatch.setenv("PHASEARM_CACHE", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield served
    server.shutdown()
    server.server_close()


def cached(tmp_path):
    folder = tmp_path / "cache"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_download_fills_the_cache_once(home, tmp_path):
    first = load_characters("omniglot", "train")
    assert cached(tmp_path) == ["omniglot_28.npz"]
    for file in home.iterdir():
        file.unlink()  # the second time nothing is asked for
    second = load_characters("omniglot", "train")
    assert len(first) == 1028
    np.testing.assert_array_equal(first.images, second.images)
    assert first.images.max() == 0  # paper


def test_a_wrong_checksum_leaves_no_file(home, tmp_path):
    (home / "images_evaluation.zip").write_bytes(archive(["ULOG"], 1))
    with pytest.raises(OSError, match=r"images_evaluation\.zip came with a wrong checksum"):
        load_characters("omniglot", "test")
    assert cached(tmp_path) in ([], ["images_background.zip"])  # whole and right, or not there


def test_a_download_that_fails_leaves_no_file(home, tmp_path):
    (home / "images_background.zip").unlink()
    with pytest.raises(OSError, match=r"cannot download .*images_background\.zip") as caught:
        load_characters("omniglot", "test")
    assert cached(tmp_path) == []
    assert "--data" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_with_other_characters_leaves_no_file(home, tmp_path, monkeypatch):
    (home / "images_evaluation.zip").write_bytes(other := archive(["ULOG"], 1))
    name = "images_evaluation.zip"
    monkeypatch.setattr(omniglot, "ARCHIVES", omniglot.ARCHIVES | {name: hashlib.sha256(other).hexdigest()})
    with pytest.raises(ValueError, match="expected"):
        load_characters("omniglot", "test")
    assert "omniglot_28.npz" not in cached(tmp_path)


def test_pictures_shrink_to_bright_ink():
    picture, png = np.ones((105, 105), bool), io.BytesIO()
    picture[:, 45:60] = False  # a stroke of 15 of 105 pixels is 4 of 28, columns 12 to 15
    Image.fromarray(picture).save(png, "png")
    small = omniglot.small(png.getvalue())
    assert small.shape == (28, 28)
    np.testing.assert_array_equal(small[5, 13:15], [255, 255])
    np.testing.assert_array_equal(small[5, [0, 5, 22, 27]], [0, 0, 0, 0])
