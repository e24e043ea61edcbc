import { assert, it } from "vitest"
import {
  decodeName,
  decodeOwnPart,
  encodeName,
  encodeOwnPart,
  maxOwnPartBytes
} from "../../src/actors/persistence/Keys.ts"

it("encodes the characters of names that are no part of a key as they are, and no others", () => {
  const names = ["", "plain-name_1.2", "a/b", "a b", "ä", "🦊", "a\n", "\n", "%", "%u0041", "default:17"]
  for (let code = 0; code < 0x300; code++) names.push(String.fromCharCode(code), `a${String.fromCharCode(code)}b`)
  for (const name of names) {
    assert.strictEqual(encodeName(name), encodeURIComponent(name))
    assert.strictEqual(decodeName(encodeName(name)), name)
    assert.strictEqual(decodeOwnPart(encodeOwnPart(name)), name)
  }
  for (const surrogate of ["\ud800", "a\udfff/"]) assert.strictEqual(decodeName(encodeName(surrogate)), surrogate)
})

it("keeps a hash of what takes more bytes than a key has room for", () => {
  const umlauts = maxOwnPartBytes / "%C3%BC".length | 0
  assert.strictEqual(encodeOwnPart("x".repeat(maxOwnPartBytes)), `=${"x".repeat(maxOwnPartBytes)}`)
  assert.match(encodeOwnPart("x".repeat(maxOwnPartBytes + 1)), /^#[0-9a-f]{64}$/)
  assert.match(encodeOwnPart("ü".repeat(umlauts)), /^=/)
  assert.match(encodeOwnPart("ü".repeat(umlauts + 1)), /^#[0-9a-f]{64}$/)
})
