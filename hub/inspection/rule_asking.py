"""Say what a command over a rule is: `portwitness-hub rules NAME ...` asks the same code that the hub decides by.

Guarantees: a rule command reads nothing but its arguments (and files that these name), changes nothing, and answers by values alone.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["en", "zh"]
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuleCommand:
    """One command. `answer` raises MalformedError for bad input (exit code 2); `line` says the answer to people."""

    name: str
    about: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    answer: Callable[[argparse.Namespace], Answer]
    line: Callable[[Answer, Language], str]
