"""The operator's commands: check, doctor, preview, move, forget, backup, init, verify. `inspect` reads what `doctor` judges.

No call uses them.
"""
