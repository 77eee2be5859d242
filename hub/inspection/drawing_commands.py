"""Put the draw's random function on the command line: `portwitness-hub rules vrf prove|verify` (RFC 9381).

Guarantees: the code is that of the draw; a proof that does not hold is an answer (`valid` false, exit code 0), a key that is none is a
fault (exit code 2). A seed on the command line can be read by other users of the machine: for tests and audits, not for a witness's key.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hub.inspection.rule_asking import Answer, Language, RuleCommand
from protocol.drawing import vrf
from protocol.errors import MalformedError, StorageError, VerificationError


def drawing_commands() -> Sequence[RuleCommand]:
    """Give the draw's rule commands."""
    return (
        RuleCommand(
            "vrf",
            "prove or verify an answer of ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381)",
            "rules vrf prove --key 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60 --alpha 72 --json",
            _arguments,
            _answer,
            _line,
        ),
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("act", choices=("prove", "verify"), help="prove an alpha by a seed, or verify a proof by a public key")
    parser.add_argument("--key", metavar="HEX", help="prove: the seed; verify: the public key (32 bytes each)")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds --key")
    parser.add_argument("--alpha", default="", metavar="HEX", help="what is asked (default: nothing)")
    parser.add_argument("--pi", metavar="HEX", help="verify: the proof (80 bytes)")


def _answer(options: argparse.Namespace) -> Answer:
    if (options.key is None) == (options.key_file is None):
        raise MalformedError("give exactly one of --key and --key-file", where="--key")
    key = _hex(options.key if options.key is not None else _file(options.key_file), "--key")
    alpha = _hex(options.alpha, "--alpha")
    if options.act == "prove":
        if options.pi is not None:
            raise MalformedError("is for verify", where="--pi")
        answer = vrf.prove(key, alpha)
        return {"pi": answer.pi.hex(), "beta": answer.beta.hex()}
    if options.pi is None:
        raise MalformedError("is needed to verify", where="--pi")
    try:
        return {"valid": True, "beta": vrf.verify(key, alpha, _hex(options.pi, "--pi")).hex()}
    except (VerificationError, MalformedError) as error:
        if error.where == "vrf key":
            raise
        return {"valid": False, "beta": None, "why": str(error)}


def _hex(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text.strip())
    except ValueError as error:
        raise MalformedError("is no hex", where=where) from error


def _file(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError("cannot be read as text", where=str(path)) from error


def _line(answer: Answer, language: Language) -> str:
    if "pi" in answer:
        return f"{'证明' if language == 'zh' else 'proof'} {answer['pi']}, {'输出' if language == 'zh' else 'output'} {answer['beta']}"
    if answer["valid"]:
        return f"{'有效，输出' if language == 'zh' else 'valid, output'} {answer['beta']}"
    return "无效：与此密钥和输入不符" if language == "zh" else f"not valid: {answer['why']}"
