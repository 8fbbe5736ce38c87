"""The reader `list`: a folder with `files.txt`, a line a picture: its file, a space, its class."""

from gossamer.data.dataset import Dataset, Sample
from gossamer.errors import DataError

NAME = "files.txt"


def recognises(path):
    return (path / NAME).is_file()


def read(path):
    lines = [line.partition(" ") for line in (path / NAME).read_text().splitlines() if line.strip()]
    labels = tuple(sorted({label for _, _, label in lines}))
    if len(labels) < 2 or "" in labels:
        raise DataError(f"{path / NAME} has a file and a class on each line, two classes or more; mend it")
    samples = tuple(Sample(path / file, labels.index(label)) for file, _, label in lines)
    return Dataset(path.resolve().name, path, labels, samples)
