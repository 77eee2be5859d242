"""Finish a bundle once its export record is logged: proofs, tokens, summaries, README and what RFC 8493 puts around them.

What is derived - summary, custody list, clock statement - is made by the verifier's own functions from the very files that are
written, after the same examination, so that it is what whoever verifies makes anew.
"""

from hub.gathering import Gathered, Port
from protocol import bundle, instructions, kinds
from protocol.custody import clock_statement, custody, stamped_files
from protocol.examination import Faults, examine
from protocol.merkle import consistency_proof, inclusion_proof
from protocol.notes import SignedCheckpoint
from protocol.reckoning import expect
from protocol.records import SignedRecord


def finish(port: Port, gathered: Gathered, export: SignedRecord, checkpoint: bytes) -> dict[str, bytes]:
    """Give every file but the videos, once the export record is logged and `checkpoint` covers it."""
    index, head = export.record.position, SignedCheckpoint.parse(checkpoint).checkpoint
    nodes = port.log_nodes()
    files = dict(gathered.files)
    files[bundle.EVIDENCE] = gathered.manifest()
    files[bundle.CHECKPOINT] = checkpoint
    files[bundle.leaf_name(index)] = export.data
    for leaf in sorted({*gathered.indices, index}):
        path = tuple(inclusion_proof(leaf, head.size, nodes))
        files[bundle.leaf_name(leaf, "tlog-proof")] = bundle.LogProof(leaf, path, checkpoint).encode()
    for size in sorted(gathered.exhibits.seen):
        files[bundle.seen_name(size)] = bundle.encode_hash_lines(consistency_proof(size, head.size, nodes))
    exhibits = examine(files, gathered.exhibits.trust, Faults())
    files |= stamped_files(exhibits)
    files[bundle.SUMMARY] = gathered.wanted.summary()
    files[bundle.CUSTODY], files[bundle.CLOCK] = custody(exhibits), clock_statement(exhibits, expect(exhibits, Faults()))
    return files | _wrapping(gathered, export, files)


def _wrapping(gathered: Gathered, export: SignedRecord, files: dict[str, bytes]) -> dict[str, bytes]:
    """Give README.txt and what RFC 8493 puts around the files."""
    body, at_ns, trust = export.record.body, export.record.at.wall_ns, gathered.exhibits.trust
    signed = isinstance(body, kinds.Export) and body.signer is not None
    stamped = isinstance(body, kinds.Export) and bool(body.stamped)
    names = {*files, *gathered.videos}
    readme = instructions.readme(instructions.Contents(gathered.task, at_ns, names, signed=signed, stamped=stamped))
    hashes = {name: bundle.sha256(data) for name, data in files.items()} | gathered.hashes() | {bundle.README: bundle.sha256(readme)}
    sizes = {name: len(data) for name, data in files.items()} | {name: piece.body.size for name, (_, piece) in gathered.videos.items()}
    info = bundle.Bagging(trust.site, trust.hub, at_ns, gathered.task).encode(sizes)
    return {bundle.README: readme} | bundle.wrap(hashes, info)
