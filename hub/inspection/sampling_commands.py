"""Ask by command how many of a lot are sampled (ISPM 31, ISO 2859-1), and whether a container number is one.

Guarantees: numbers are read as they are written (0.5% is 1/200), never through binary floats; what is wrong is named by its option.
"""

import argparse
from collections.abc import Sequence

from hub.inspection.rule_asking import Answer, Language, RuleCommand
from protocol.errors import MalformedError
from protocol.goods import check_container
from protocol.sampling.exact import read_fraction, read_lot, read_share
from protocol.sampling.iso2859 import plan_for
from protocol.sampling.iso2859_tables import AQLS, LEVELS
from protocol.sampling.ispm31 import sample_size


def sampling_commands() -> Sequence[RuleCommand]:
    """Give the commands of this part."""
    return (
        RuleCommand(
            name="ispm31",
            about="sample size of ISPM 31: how many units of a lot, to find infestation at a rate with a confidence",
            example="rules ispm31 --lot 700 --rate 0.5% --confidence 95% --json",
            arguments=_ispm31_arguments,
            answer=_ispm31,
            line=_ispm31_line,
        ),
        RuleCommand(
            name="iso2859",
            about="single sampling plan of ISO 2859-1 (GB/T 2828.1)",
            example="rules iso2859 --lot 2000 --level II --aql 1.0 --inspection tightened --json",
            arguments=_iso2859_arguments,
            answer=_iso2859,
            line=_iso2859_line,
        ),
        RuleCommand(
            name="container",
            about="whether a container number is one (ISO 6346), check digit included",
            example="rules container CSQU3054383 --json",
            arguments=lambda parser: _add(parser, "number", metavar="NUMBER", help="e.g. CSQU3054383"),
            answer=_container,
            line=_container_line,
        ),
    )


def _add(parser: argparse.ArgumentParser, name: str, **how: str) -> None:
    parser.add_argument(name, **how)  # type: ignore[arg-type]  # texts only


def _ispm31_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lot", required=True, metavar="N", help="units in the lot, 1 to 10^9")
    parser.add_argument("--rate", required=True, metavar="P", help="share of infested units to find: 0.005 or 0.5%%")
    parser.add_argument("--confidence", required=True, metavar="C", help="confidence to find it: 0.95 or 95%%")


def _ispm31(options: argparse.Namespace) -> Answer:
    lot, rate = read_lot(options.lot, "--lot"), read_share(options.rate, "--rate")
    plan = sample_size(lot, rate, read_fraction(options.confidence, "--confidence"))
    return {"n": plan.n} if plan.n is not None else {"n": None, "why": plan.why}


def _ispm31_line(answer: Answer, language: Language) -> str:
    if answer["n"] is None:
        return f"no plan: {answer['why']}" if language == "en" else "无抽样方案：批量与感染率之积不足一个单位"
    return f"sample {answer['n']} units" if language == "en" else f"抽样 {answer['n']} 件"


def _iso2859_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lot", required=True, metavar="N", help="units in the lot, 1 to 10^9")
    parser.add_argument("--level", required=True, metavar="LEVEL", help=f"inspection level: {', '.join(LEVELS)}")
    parser.add_argument("--aql", required=True, metavar="AQL", help=f"acceptance quality limit: {', '.join(AQLS)}")
    parser.add_argument("--inspection", default="normal", choices=("normal", "tightened", "reduced"), help="severity (default: normal)")


def _iso2859(options: argparse.Namespace) -> Answer:
    plan = plan_for(read_lot(options.lot, "--lot"), options.level, options.aql, options.inspection)
    answer = {"letter": plan.letter, "n": plan.n, "accept": plan.accept, "reject": plan.reject}
    notes = {"whole": plan.whole, "unverified": plan.unverified}
    return answer | {name: True for name, value in notes.items() if value}


def _iso2859_line(answer: Answer, language: Language) -> str:
    letter, n, accept, reject = (answer[name] for name in ("letter", "n", "accept", "reject"))
    if language == "en":
        line = f"letter {letter}: sample {n}, accept at {accept} or fewer, reject at {reject} or more"
        notes = {"whole": "the whole lot", "unverified": "unverified: not checked against the printed table"}
    else:
        line = f"字码 {letter}：抽样 {n} 件，不合格品不多于 {accept} 件接收，{reject} 件以上拒收"
        notes = {"whole": "全检", "unverified": "未核实：未与标准印刷表核对"}
    return "; ".join([line, *(text for name, text in notes.items() if answer.get(name))])


def _container(options: argparse.Namespace) -> Answer:
    try:
        check_container(options.number)
    except MalformedError as error:
        return {"valid": False, "why": error.what}
    return {"valid": True, "why": "its check digit is right"}


def _container_line(answer: Answer, language: Language) -> str:
    if language == "en":
        return f"{'valid' if answer['valid'] else 'not valid'}: {answer['why']}"
    return "箱号有效" if answer["valid"] else f"箱号无效：{answer['why']}"
