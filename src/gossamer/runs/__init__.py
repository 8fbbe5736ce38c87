"""What every verb that leaves a run folder shares: options, folder, MODEL, pictures, judging, choice, publishing."""
