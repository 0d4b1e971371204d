"""Curfew on an embedded cloud: `python -m demo` shows a night, `python -m demo.local` serves one to `sam local`."""
