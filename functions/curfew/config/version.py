"""The version of Curfew, as pyproject.toml has it too."""

VERSION = "0.1.0"
