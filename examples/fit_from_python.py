"""The main job from Python: pictures and a budget in, a bundle and a report out.

    python fit_from_python.py [DATA] [MINUTES]

DATA is a folder of class folders; without it the pictures of demo:scenes are made in code. Takes MINUTES
(3 by default) and needs the extras: pip install 'gossamer[train,weights]'.
"""

import sys

import gossamer as gs


def main() -> None:
    """Fit, then predict one picture with the file that ships."""
    data = sys.argv[1] if len(sys.argv) > 1 else "demo:scenes"
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    try:
        result = gs.fit(data, within="latency<=3ms, size<=1MB", threads=1, minutes=minutes)
    except gs.GossamerError as error:
        sys.exit(f"error: {error}")
    measured = result.bundle.measured
    sys.stdout.write(f"{result.headline}\n")
    sys.stdout.write(f"met: {result.met}; latency state: {measured['latency']['state']}\n")
    sys.stdout.write(f"bundle: {result.bundle.folder}\nreport: {result.report}\n")

    report = gs.check(data)
    first = report.dataset.samples[report.split.test[0]].path
    prediction = gs.predict(result.bundle.folder, [first], top=3)[0]
    sys.stdout.write(f"{first.name}: {dict(zip(prediction.labels, prediction.scores, strict=True))}\n")


if __name__ == "__main__":
    main()
