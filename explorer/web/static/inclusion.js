// Verifies a leaf of a block's body: hashes it, then every sibling, up to the root in the header.
"use strict";
const bytesOf = (hex) => Uint8Array.from(hex.slice(2).match(/../g), (pair) => parseInt(pair, 16));
const hexOf = (bytes) => "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
function join(one, other) {
  const both = new Uint8Array(64);
  both.set(one);
  both.set(other, 32);
  return both;
}
function leafOf(index, value) {
  const position = new Uint8Array(32);
  new DataView(position.buffer).setUint32(28, index);
  return keccak256(keccak256(join(position, bytesOf(value))));
}
function rootFrom(index, value, proof) {
  let node = leafOf(index, value);
  for (const sibling of proof.map(bytesOf)) {
    node = keccak256(hexOf(node) < hexOf(sibling) ? join(node, sibling) : join(sibling, node));
  }
  return hexOf(node);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.verify");
  if (!button) return;
  const { root, index, value, proof } = button.dataset;
  const found = rootFrom(Number(index), value, JSON.parse(proof));
  button.parentElement.querySelector("output").textContent = found === root ? `Included: it hashes to the root ${found}.` : `Not included: it hashes to ${found}, the root is ${root}.`;
});
