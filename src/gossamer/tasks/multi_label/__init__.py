"""Any number of labels for one picture."""
