// Keccak-256 as Ethereum uses it (FIPS 202's permutation with the padding of the original submission).
// Source: The Keccak reference, version 3.0. 64-bit lanes as BigInt: a block is hashed rarely, and this is easy to read.
"use strict";
const MASK = (1n << 64n) - 1n;
const ROTATIONS = [[0, 36, 3, 41, 18], [1, 44, 10, 45, 2], [62, 6, 43, 15, 61], [28, 55, 25, 21, 56], [27, 20, 39, 8, 14]];
const rotate = (lane, by) => by ? ((lane << BigInt(by)) | (lane >> BigInt(64 - by))) & MASK : lane;
// Round constants from the linear feedback shift register x^8 + x^6 + x^5 + x^4 + 1.
const ROUNDS = (() => {
  const constants = [];
  let state = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (state & 1) constant |= 1n << ((1n << BigInt(j)) - 1n);
      state = (state << 1) ^ ((state >> 7) * 0x171);
    }
    constants.push(constant);
  }
  return constants;
})();
function permute(a) {
  for (const constant of ROUNDS) {
    const parity = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for (let x = 0; x < 5; x++) {
      const mixed = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1);
      for (let y = 0; y < 5; y++) a[x + 5 * y] ^= mixed;
    }
    const b = new Array(25);
    for (let x = 0; x < 5; x++) for (let y = 0; y < 5; y++) b[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(a[x + 5 * y], ROTATIONS[x][y]);
    for (let y = 0; y < 5; y++) for (let x = 0; x < 5; x++) {
      a[x + 5 * y] = b[x + 5 * y] ^ (~b[(x + 1) % 5 + 5 * y] & MASK & b[(x + 2) % 5 + 5 * y]);
    }
    a[0] ^= constant;
  }
}
function keccak256(bytes) {
  const rate = 136;
  const padded = new Uint8Array((Math.floor(bytes.length / rate) + 1) * rate);
  padded.set(bytes);
  padded[bytes.length] ^= 1;
  padded[padded.length - 1] ^= 128;
  const lanes = new Array(25).fill(0n);
  for (let start = 0; start < padded.length; start += rate) {
    for (let i = 0; i < rate; i++) lanes[i >> 3] ^= BigInt(padded[start + i]) << BigInt(8 * (i & 7));
    permute(lanes);
  }
  return Uint8Array.from({ length: 32 }, (_, i) => Number((lanes[i >> 3] >> BigInt(8 * (i & 7))) & 255n));
}
