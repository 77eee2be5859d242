// Merkle trees of logs (RFC 6962 section 2.1, RFC 9162 section 2.1): roots, inclusion and consistency.

import { Fault, need, same, sha256 } from "./bytes.js";

const LEAF = Uint8Array.of(0), NODE = Uint8Array.of(1);
export const EMPTY_ROOT = sha256();

export function leafHash(data) {
  return sha256(LEAF, data);
}

export function nodeHash(left, right) {
  return sha256(NODE, left, right);
}

// The complete subtrees of a growing tree, largest first.
export class Frontier {
  constructor(size = 0, hashes = []) {
    let count = 0;
    for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
    need(count === hashes.length, "frontier", `${hashes.length} hashes are no frontier of size ${size}`, `${hashes.length} 个哈希不能构成大小为 ${size} 的树`);
    this.size = size;
    this.hashes = [...hashes];
  }

  append(leaf) {
    for (let size = this.size; size % 2 === 1; size = Math.floor(size / 2)) leaf = nodeHash(this.hashes.pop(), leaf);
    this.hashes.push(leaf);
    this.size += 1;
  }

  root() {
    return foldTrees(this.hashes);
  }
}

export function foldTrees(subtrees) {
  if (!subtrees.length) return EMPTY_ROOT;
  return subtrees.slice(0, -1).reduceRight((root, left) => nodeHash(left, root), subtrees[subtrees.length - 1]);
}

// Root over leaf hashes, level by level: a node without a neighbour goes up as it is.
export function rootOver(leaves) {
  let level = leaves;
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at + 1 < level.length; at += 2) above.push(nodeHash(level[at], level[at + 1]));
    if (level.length % 2) above.push(level[level.length - 1]);
    level = above;
  }
  return level[0];
}

const half = (value) => Math.floor(value / 2);

// Walk an audit path (RFC 9162, 2.1.3.2); `step(sibling, isLeft)` for each hash.
function walkPath(index, size, path, step) {
  let fn = index, sn = size - 1;
  for (const sibling of path) {
    if (sn === 0) throw new Fault("inclusion proof", "path is too long", "路径过长");
    if (fn % 2 === 1 || fn === sn) {
      step(sibling, true);
      while (fn % 2 === 0 && fn) [fn, sn] = [half(fn), half(sn)];
    } else step(sibling, false);
    [fn, sn] = [half(fn), half(sn)];
  }
  need(sn === 0, "inclusion proof", "path is too short", "路径过短");
}

export function checkInclusion(leaf, index, size, path, root) {
  need(index >= 0 && index < size, "inclusion proof", `leaf ${index} is outside a tree of ${size}`, `叶 ${index} 不在大小为 ${size} 的树中`);
  let found = leaf;
  walkPath(index, size, path, (sibling, isLeft) => {
    found = isLeft ? nodeHash(sibling, found) : nodeHash(found, sibling);
  });
  need(same(found, root), "inclusion proof", `leaf ${index} is not in the tree of ${size}`, `叶 ${index} 不在大小为 ${size} 的树中`);
}

// The root of the tree before a leaf: the left siblings of its path are that tree's complete subtrees.
export function rootBefore(index, size, path) {
  const left = [];
  walkPath(index, size, path, (sibling, isLeft) => {
    if (isLeft) left.unshift(sibling);
  });
  return foldTrees(left);
}

// RFC 9162, 2.1.4.2.
export function checkConsistency(old, oldRoot, size, root, path) {
  const where = "consistency proof";
  const fault = new Fault(where, `tree of ${size} does not extend the tree of ${old}`, `大小 ${size} 的树不是大小 ${old} 的树的延伸`);
  if (!(old > 0 && old < size)) {
    if (old < 0 || old > size || path.length || (old === size && !same(oldRoot, root)) || (old === 0 && !same(oldRoot, EMPTY_ROOT))) throw fault;
    return;
  }
  const isPower = Number.isInteger(Math.log2(old));
  const hashes = isPower ? [oldRoot, ...path] : path;
  if (!hashes.length) throw fault;
  let fn = old - 1, sn = size - 1;
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let first = hashes[0], second = hashes[0];
  for (const sibling of hashes.slice(1)) {
    if (sn === 0) throw fault;
    if (fn % 2 === 1 || fn === sn) {
      first = nodeHash(sibling, first);
      second = nodeHash(sibling, second);
      while (fn % 2 === 0 && fn) [fn, sn] = [half(fn), half(sn)];
    } else second = nodeHash(second, sibling);
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0 || !same(first, oldRoot) || !same(second, root)) throw fault;
}
