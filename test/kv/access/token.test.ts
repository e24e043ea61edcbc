/** Tokens as text: what goes in comes out, and one wrong character is noticed. */
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { formatToken, parseToken } from "../../../src/kv/model/access/Token.ts"
import { hashOfSecret, makeToken } from "../../../src/kv/TokenSecret.ts"

const secretOf = (first: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => (first + i * 7) % 256)

describe("a token", () => {
  it.each([
    ["orders", secretOf(1)],
    ["two_parts.and-a-dash_", secretOf(255)],
    ["a", new Uint8Array(32)],
    ["x".repeat(64), new Uint8Array(32).fill(0xff)]
  ])("of %s is read as it was made", (name, secret) => {
    const text = formatToken(name, secret)
    assert.match(text, /^fdb_[A-Za-z0-9._-]{1,64}_[A-Za-z0-9]{49}$/)
    assert.deepStrictEqual(parseToken(text), { name, secret })
  })

  it("has the format that is in the hands of clients already", () => {
    assert.strictEqual(formatToken("orders", secretOf(1)), fixed)
  })

  it("ends with the checksum that Node computes", () => {
    const text = formatToken("orders", secretOf(9))
    let sum = 0
    for (const digit of text.slice(-6)) sum = sum * 62 + base62.indexOf(digit)
    assert.strictEqual(sum, crc32(text.slice(0, -6)))
  })

  it("is refused with any one character changed, left out or added", () => {
    const text = formatToken("orders", secretOf(3))
    for (let at = 0; at < text.length; at++) {
      for (const character of ["a", "Z", "0", "_", "é", ""]) {
        if (text[at] === character) continue
        const changed = text.slice(0, at) + character + text.slice(at + 1)
        const found = parseToken(changed)
        assert.isTrue("problem" in found, changed)
        assert.isFalse(JSON.stringify(found).includes(text.slice(-20)), "no part of the secret is told")
      }
      assert.isTrue("problem" in parseToken(`${text.slice(0, at)}0${text.slice(at)}`))
    }
  })

  it.each(["", "fdb_", "fdb__", "fdb_orders", "fdb_or ders_x", "ghp_orders_x"])("%j is none", (text) => {
    assert.isTrue("problem" in parseToken(text))
  })

  it("that says more than 256 bits is none", () => {
    const unchecked = `fdb_a_${"z".repeat(43)}`
    const sum = crc32(unchecked)
    let checksum = ""
    for (let rest = sum; checksum.length < 6; rest = Math.floor(rest / 62)) checksum = base62[rest % 62] + checksum
    assert.deepInclude(parseToken(unchecked + checksum), { problem: "has characters that no token has" })
  })

  it("is made of new random bits each time, and shown by nothing that prints", () => {
    const made = [makeToken("orders"), makeToken("orders")]
    const texts = made.map(({ token }) => Redacted.value(token))
    assert.strictEqual(new Set(texts).size, 2)
    for (const [i, text] of texts.entries()) {
      const parsed = parseToken(text)
      assert.isTrue("secret" in parsed)
      if (!("secret" in parsed)) continue
      assert.deepStrictEqual(hashOfSecret(parsed.secret), made[i]?.hash)
      assert.deepStrictEqual(
        made[i]?.hash,
        new Uint8Array(createHash("sha256").update(parsed.secret).digest())
      )
      assert.notInclude(`${String(made[i]?.token)}${JSON.stringify(made[i]?.token)}`, text.slice(-20))
    }
  })
})

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const fixed = "fdb_orders_0FAE0br7FNXNSiMwMIFF0C1t0KyYFUbUOkYEl9j0BPm1lU0u2"
