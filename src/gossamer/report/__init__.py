"""The report of a run: its data (`document`) and the page a person reads (`html`)."""
