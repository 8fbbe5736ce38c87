"""The reader `headings`: a folder with `headings.csv`, a row a picture: its file and its direction in degrees."""

import csv

from gossamer.data.dataset import Dataset, Sample

NAME = "headings.csv"


def recognises(path):
    return (path / NAME).is_file()


def read(path):
    with (path / NAME).open(newline="") as file:
        samples = tuple(Sample(path / row["file"], float(row["degrees"])) for row in csv.DictReader(file))
    return Dataset(path.resolve().name, path, ("cos", "sin"), samples, task="compass")
