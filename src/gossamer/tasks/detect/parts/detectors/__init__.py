"""THE table of detectors by family: each a row that names its parts, in the words of its source."""
