"""The published files of the data sets that flaxact prepares itself, with their checksums."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from flaxact.errors import InputError

TIMEOUT = 60.0  # seconds without a byte
NETWORK_ERRORS = (OSError, http.client.HTTPException)  # no answer, and one that is not HTTP


@dataclass(frozen=True)
class Download:
    """Files by name with their MD5 checksums, the URL of their folder, and their license terms."""

    url: str
    files: tuple[tuple[str, str], ...]
    note: str


SOURCES = {
    "mnist": Download(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        "MNIST, LeCun and Cortes; CC BY-SA 3.0",
    ),
    "fashion_mnist": Download(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        "Fashion-MNIST, Xiao, Rasul and Vollgraf 2017; MIT licence, Zalando",
    ),
    "cifar10": Download(
        "https://www.cs.toronto.edu/~kriz/",
        (("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
        "CIFAR-10, Krizhevsky 2009; no licence stated by its source",
    ),
    "cifar100": Download(
        "https://www.cs.toronto.edu/~kriz/",
        (("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
        "CIFAR-100, Krizhevsky 2009; no licence stated by its source",
    ),
}


def downloads(folder: Path, name: str) -> Path:
    """The folder of a data set's downloaded files, inside TFDS's folder."""
    return folder / "downloads" / "flaxact" / name


def fetch(source: Download, folder: Path) -> dict[str, Path]:
    """Download a source's files into a folder, except those that are there already.

    Raises:
      InputError: a download failed, or a file has another checksum than the published one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _fetch(source.url + name, md5, folder / name) for name, md5 in source.files}


def _fetch(url: str, md5: str, path: Path) -> Path:
    if path.exists() and _md5(path) == md5:
        return path
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, partial.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
    except NETWORK_ERRORS as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"the download of {url} failed: {error}") from None
    if (actual := _md5(partial)) != md5:
        partial.unlink()
        raise InputError(
            f"the file from {url} has the MD5 {actual}, and the published one has {md5}"
        )
    os.replace(partial, path)
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
