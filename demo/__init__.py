"""Curfew on an emulated cloud: `python -m demo` shows one night, `python -m demo.local` serves one to `sam local`."""
