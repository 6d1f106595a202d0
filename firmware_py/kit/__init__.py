"""The firmware of the ECG kit; `app.py` puts its parts together, `frame.py` of the signal package holds its bytes."""
