"""Write a bundle's README.txt: how to check it with stock tools, in Chinese and English, with the exact names of its files.

Guarantees: every command stands on a line of its own behind four blanks, and is run in the tests as it stands there, from inside
the folder. Times are those of the export record: a certificate is judged at that time, not at the reader's.
"""

from collections.abc import Collection
from dataclasses import dataclass

from protocol import bundle
from protocol.instants import SECOND_NS, iso

_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Contents:
    """What the README speaks of: the subject, when it was exported (Unix ns), and the files that exist.

    `signed` and `stamped`: a signature, and a token over it, stand beside the folder.
    """

    subject: str
    at_ns: int
    names: Collection[str]
    signed: bool
    stamped: bool


def commands(contents: Contents) -> dict[str, list[str]]:
    """Give the commands that stock tools check the bundle with, by what they check; run inside the bundle's folder."""
    folder = bundle.folder_name(contents.subject)
    signature, token = (bundle.beside_name(folder, part) for part in ("p7s", "tsr"))
    seconds = contents.at_ns // SECOND_NS
    found = {"hashes": [f"sha256sum -c --quiet {name}" for name in (bundle.MANIFEST, bundle.TAG_MANIFEST, bundle.EVIDENCE)]}
    found["root"] = [f"openssl x509 -in {bundle.ROOT} -noout -fingerprint -sha256"]
    if contents.signed:
        found["signature"] = [
            f"openssl cms -verify -binary -inform DER -in {signature} -content {bundle.TAG_MANIFEST} -CAfile {bundle.ROOT}"
            f" -purpose any -attime {seconds} -out /dev/null"
        ]
    if bundle.CRL in contents.names:
        found["revoked"] = [f"openssl crl -in {bundle.CRL} -noout -text -CAfile {bundle.SITE_CA}"]
    if bundle.TIME_AUTHORITIES in contents.names:
        anchors = f"-CAfile {bundle.TIME_AUTHORITIES} -attime"
        pairs = [(signature, token, seconds)] if contents.stamped else []
        found["time"] = [f"openssl ts -verify -data {data} -in {reply} {anchors} {at}" for data, reply, at in pairs]
        stamps = sorted(name for name in contents.names if name.startswith("data/time/") and name.endswith(".txt"))
        found["time"] += [f"openssl ts -verify -data {name} -in {name[:-4]}.tsr {anchors} {seconds}" for name in stamps[-3:]]
    return {name: lines for name, lines in found.items() if lines}


def readme(contents: Contents) -> bytes:
    """Give README.txt."""
    parts = [_HEAD.format(subject=contents.subject, at=iso(contents.at_ns))]
    for name, lines in commands(contents).items():
        parts.append(_ABOUT[name] + "".join(f"{_INDENT}{line}\n" for line in lines))
    absent = [text for text, present in _presence(contents) if not present]
    parts.append("".join(f"  - {text}\n" for text in absent) if absent else "")
    if absent:
        parts[-1] = "\n缺少 / not present:\n" + parts[-1]
    return ("\n".join(part for part in parts if part) + _TAIL).encode()


def _presence(contents: Contents) -> list[tuple[str, bool]]:
    return [
        ("签名 (.p7s) / a signature by the hub's export key (.p7s)", contents.signed),
        ("签名的时间戳 (.tsr) / a time-stamp over the signature (.tsr)", contents.stamped),
        ("C2PA 清单 / C2PA manifests", any(bundle.parse_sidecar(name) for name in contents.names)),
        ("证书吊销列表 / a list of revoked certificates", bundle.CRL in contents.names),
        ("时间戳机构证书 / certificates of time authorities", bundle.TIME_AUTHORITIES in contents.names),
    ]


_HEAD = """\
Portwitness - evidence / 证据包: {subject}
Exported / 导出时间: {at} (UTC)

A. 通用工具 (无需任何专用软件), 在本文件夹内运行 / Stock tools, run inside this folder
"""
_ABOUT = {
    "hashes": "文件散列;只能发现改动,不能证明来源 / hashes of all files: find changes, prove no origin\n",
    "root": "根证书指纹:必须与口岸从其他途径公布的一致 / compare with the fingerprint that the port publishes elsewhere\n",
    "signature": (
        "导出签名,覆盖以上全部散列;时间取自已核验的时间戳,无时间戳时取导出时间\n"
        "the signature over all hashes above; judge it at the verified time-stamp's time, else at the export's (below)\n"
    ),
    "revoked": "吊销列表的签名与内容 / signature and contents of the list of revoked certificates\n",
    "time": (
        "时间戳;时间戳机构证书同样必须从其他途径取得 / time-stamps; get the authorities' certificates from elsewhere, too\n"
        "(data/time: 最后几个检查点 / of the last checkpoints; the others alike)\n"
    ),
}
_TAIL = """
B. C2PA 核验程序 / Any C2PA validator
  以 data/trust/root.pem (指纹核对后) 为信任锚核验 data/video 下的 .mp4 与同名 .c2pa;须逐级检查父清单。
  Check each .mp4 of data/video with the .c2pa of the same name, with data/trust/root.pem (once its fingerprint is
  compared) as trust anchor; look at the results of parent manifests too: "Trusted" speaks of the last one only.

C. 完整核验 / The whole proof
  取得信任文件 trust.json (必须来自本证据包之外),然后运行:
  Obtain trust.json (it must come from outside this bundle), then run:
  portwitness-verify THIS-FOLDER --trust trust.json        (no network; exit 0 valid, 1 not valid, 2 unreadable)
  或在浏览器中打开 verify.html (无需网络;请使用从证据包之外取得的一份) / or open verify.html in a browser: no network;
  use a copy from outside the bundle, since one that lies in it can be changed with it

report.html, .pdf   供阅读的报告,由证据推导,不是证据 (如有) / for people: derived, no evidence (where present)
data/video          视频分段原始字节及 C2PA 清单 / original bytes of the segments, their C2PA manifests
data/journals       边缘盒日志的连续区间 / contiguous ranges of the boxes' journals
data/log            总账条目、证明、检查点、见证策略 / port log leaves, proofs, checkpoints, witness policy
data/time           RFC 3161 时间戳及其对象 / RFC 3161 tokens and what they stamp
data/trust          证书 (声明,须与外部信任核对) / certificates: claims, to be matched with trust from outside
data/custody.csv    查看、导出、保管的记录 / who opened, watched, exported, kept
data/clock.json     时钟偏差说明 / how the clocks stood
data/task.json      摘要 / a summary
以上三个文件由核验程序重新计算 / the last three are recomputed by the verifier
"""
