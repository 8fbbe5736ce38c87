"""Two numbers are learned, so the objective is that of numbers."""

from gossamer.tasks.regress.objective import RegressObjective

OBJECTIVE = RegressObjective()
