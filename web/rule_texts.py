"""Take a rule set as people write it in JSON, and bring it into the one form that a record holds."""

import json

from protocol import sheets
from protocol.errors import MalformedError


def canonical_text(text: str) -> bytes:
    """Give the canonical bytes of a JSON text; raise MalformedError for what is none, or has a fraction."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where="text") from error
    return sheets.encode(value)
