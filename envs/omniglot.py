"""Omniglot: 1,623 characters of 50 alphabets, 20 drawings each; from a file, or once from its original home.

Lake, Salakhutdinov, Tenenbaum, Science 350:1332 (2015).
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from .glyphs import SIDE

HOME = "https://github.com/brendenlake/omniglot/raw/master/python/"
# SHA-256 as TensorFlow Datasets lists them for these addresses (url_checksums/omniglot.txt); not checked against a
# download, for want of a network.
ARCHIVES = {
    "images_background.zip": "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
    "images_evaluation.zip": "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
}
CACHED = "omniglot_28.npz"
DRAWINGS = 20
ALPHABETS, CHARACTERS, BACKGROUND = 50, 1623, 964

Split = Literal["vinyals", "halves"]
Part = Literal["train", "validation", "test"]

# Vinyals et al. 2016 (Matching Networks), in the listing of Snell et al. 2017: whole alphabets but for Gurmukhi, whose
# first 41 characters are for training; 1028, 172 and 423 characters.
_VALIDATION = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
_TEST = (
    *("Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya"),
    *("Syriac_(Serto)", "Sylheti", "Tengwar", "Tibetan", "ULOG"),
)
_DIVIDED, _DIVIDED_TRAIN = "Gurmukhi", 41


@dataclass(frozen=True)
class Omniglot:
    """The pictures and where each character is from, by the alphabets' names and the characters' numbers."""

    images: np.ndarray
    """uint8, (1623, 20, 28, 28), ink bright."""
    alphabet: np.ndarray
    """Name of each character's alphabet, (1623,)."""
    number: np.ndarray
    """Number of each character in its alphabet, from 1, (1623,)."""
    is_evaluation: np.ndarray
    """Whether a character is of the evaluation half, (1623,)."""

    def part(self, part: Part, split: Split = "vinyals") -> np.ndarray:
        """Return the pictures of a part, (characters, 20, 28, 28).

        Raises:
            ValueError: No such split, or the halves have no such part.
        """
        chosen = vinyals(self.alphabet, self.number) if split == "vinyals" else self.is_evaluation * 2
        parts = {"train": 0, "validation": 1, "test": 2} if split == "vinyals" else {"train": 0, "test": 2}
        if split not in ("vinyals", "halves"):
            raise ValueError(f"unknown split {split!r}; choose from ['halves', 'vinyals']")
        if part not in parts:
            raise ValueError(f"the split {split!r} has no part {part!r}; choose from {sorted(parts)}")
        return self.images[chosen == parts[part]]


def vinyals(alphabet: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return each character's part in the split of Vinyals et al.: 0 training, 1 validation, 2 test."""
    test = np.isin(alphabet, _TEST) | ((alphabet == _DIVIDED) & (number > _DIVIDED_TRAIN))
    return np.where(test, 2, np.isin(alphabet, _VALIDATION).astype(int))


def load_omniglot(path: Path | None = None) -> Omniglot:
    """Return Omniglot from a file of arrays; without one from the cache, which is filled by a download at first use.

    Raises:
        ValueError: The file is no npz, is damaged, or holds other arrays.
        OSError: No such file, or the download failed.
    """
    if path is None:
        path = _cached()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {
                name: file[name] for name in ("images", "alphabet_idx", "alphabet_names", "char_num", "is_evaluation")
            }
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}") from error
    except KeyError as error:
        raise ValueError(f"{path} is not Omniglot's file: {' '.join(str(error.args[0]).split())}") from error
    except Exception as error:  # numpy, zipfile and zlib each have their own for a damaged file
        raise ValueError(f"{path} is damaged or no npz file ({' '.join(str(error).split())})") from error
    return _checked(path, arrays)


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> Omniglot:
    """Return arrays as Omniglot, or say what is wrong with them."""
    expected = {
        "images": ((CHARACTERS, DRAWINGS, SIDE, SIDE), "u"),
        "alphabet_idx": ((CHARACTERS,), "iu"),
        "alphabet_names": ((ALPHABETS,), "U"),
        "char_num": ((CHARACTERS,), "iu"),
        "is_evaluation": ((CHARACTERS,), "b"),
    }
    for name, (shape, kinds) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in kinds or (name == "images" and array.dtype != np.uint8):
            raise ValueError(f"{path}: {name} is {array.dtype} {array.shape}, expected {shape} as Omniglot has it")
    index = arrays["alphabet_idx"]
    if index.min() < 0 or index.max() >= ALPHABETS:
        raise ValueError(f"{path}: alphabet_idx must lie in [0, {ALPHABETS - 1}], got {index.min()} to {index.max()}")
    alphabet, number = arrays["alphabet_names"][index], arrays["char_num"]
    order = np.lexsort((number, alphabet))  # whatever order a file has: equal seeds draw equal tasks
    found = Omniglot(arrays["images"][order], alphabet[order], number[order], arrays["is_evaluation"][order])
    sizes = np.bincount(vinyals(found.alphabet, found.number), minlength=3).tolist()
    if sizes != [1028, 172, 423] or (~found.is_evaluation).sum() != BACKGROUND:
        raise ValueError(f"{path}: the characters fall into {sizes}, expected [1028, 172, 423] as in Omniglot")
    if found.images.mean() > 127:
        raise ValueError(f"{path}: the paper is bright; images must hold bright ink on paper 0")
    return found


def cache_folder() -> Path:
    """Return where downloads are kept: $PHASEARM_CACHE, or the user's cache folder."""
    import pooch

    return Path(os.environ.get("PHASEARM_CACHE") or pooch.os_cache("phasearm"))


def _cached() -> Path:
    """Return the cached file of arrays, after making it from the downloaded archives where it is not there."""
    path = cache_folder() / CACHED
    if not path.exists():
        archives = [_download(name, digest, path.parent) for name, digest in ARCHIVES.items()]
        arrays = read_archives(archives)
        _checked(path, arrays)
        _write_whole(path, arrays)
        for archive in archives:
            archive.unlink()
    return path


def _download(name: str, digest: str, folder: Path) -> Path:
    """Return an archive that has the right checksum; pooch writes under another name until it has."""
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        return Path(pooch.retrieve(HOME + name, f"sha256:{digest}", name, folder))
    except ValueError as error:
        raise OSError(f"{HOME}{name} came with a wrong checksum; try again, or give the arrays with --data") from error
    except Exception as error:  # requests has its own hierarchy, and the folder may be unwritable
        raise OSError(f"cannot download {HOME}{name} ({error}); give the arrays with --data") from error
    finally:
        logger.setLevel(level)


def read_archives(archives: list[Path]) -> dict[str, np.ndarray]:
    """Return the arrays that `load_omniglot` reads, from the two archives of pictures."""
    images, alphabet, number, evaluation = [], [], [], []
    for half, archive in enumerate(archives):
        with zipfile.ZipFile(archive) as file:
            names = sorted(name for name in file.namelist() if name.endswith(".png"))
            for start in range(0, len(names), DRAWINGS):  # .../alphabet/character07/0123_05.png
                _, where, character, _ = names[start].split("/")
                images.append([small(file.read(name)) for name in names[start : start + DRAWINGS]])
                alphabet.append(where)
                number.append(int(character.removeprefix("character")))
                evaluation.append(bool(half))
    known, index = np.unique(alphabet, return_inverse=True)
    return {
        "images": np.array(images, np.uint8),
        "alphabet_idx": index.astype(np.int16),
        "alphabet_names": known,
        "char_num": np.array(number, np.int16),
        "is_evaluation": np.array(evaluation),
    }


def small(png: bytes) -> np.ndarray:
    """Return a picture of 105 x 105 with bright paper as 28 x 28 with bright ink."""
    picture = Image.open(io.BytesIO(png)).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return 255 - np.asarray(picture)


def _write_whole(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays so that a reader, or a crash, sees a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
