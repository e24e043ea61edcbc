import { assert, describe, it } from "@effect/vitest"
import { Buffer } from "node:buffer"
import * as der from "../../src/certificates/Der.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

describe("DER", () => {
  it("has lengths in the short form below 128, and as few octets as they need above", () => {
    assert.strictEqual(hex(der.octetString(new Uint8Array(0))), "0400")
    assert.strictEqual(hex(der.octetString(new Uint8Array(127))).slice(0, 4), "047f")
    assert.strictEqual(hex(der.octetString(new Uint8Array(128))).slice(0, 6), "048180")
    assert.strictEqual(hex(der.octetString(new Uint8Array(256))).slice(0, 8), "04820100")
    assert.strictEqual(hex(der.octetString(new Uint8Array(65_536))).slice(0, 10), "0483010000")
  })

  it("has whole numbers without needless zeros, and never negative", () => {
    assert.strictEqual(hex(der.integer(Uint8Array.of(0))), "020100")
    assert.strictEqual(hex(der.integer(Uint8Array.of(0, 0, 5))), "020105")
    assert.strictEqual(hex(der.integer(Uint8Array.of(0x80))), "02020080")
    assert.strictEqual(hex(der.integer(Uint8Array.of(0, 0x80))), "02020080")
  })

  it("has object identifiers in base 128", () => {
    assert.strictEqual(hex(der.oid("2.5.29.17")), "0603551d11")
    assert.strictEqual(hex(der.oid("1.2.840.10045.4.3.2")), "06082a8648ce3d040302")
  })

  it("has two digits for the year before 2050 and four from then on", () => {
    const text = (ms: number) => Buffer.from(der.time(ms)).subarray(2).toString("latin1")
    assert.strictEqual(text(Date.UTC(2026, 5, 1, 12, 0, 7)), "260601120007Z")
    assert.strictEqual(text(Date.UTC(2049, 11, 31, 23, 59, 59)), "491231235959Z")
    assert.strictEqual(text(Date.UTC(2050, 0, 1)), "20500101000000Z")
    assert.strictEqual(der.time(Date.UTC(2050, 0, 1))[0], der.tags.generalizedTime)
  })

  it("has the values of X.690 for the rest", () => {
    assert.strictEqual(hex(der.boolean(true)), "0101ff")
    assert.strictEqual(hex(der.bitString(Uint8Array.of(0x06), 1)), "03020106")
    assert.strictEqual(hex(der.utf8String("é")), "0c02c3a9")
    assert.strictEqual(hex(der.sequence(der.boolean(false), der.set())), "30050101003100")
    assert.strictEqual(hex(der.explicit(3, der.sequence())), "a3023000")
    assert.strictEqual(hex(der.implicit(2, Buffer.from("a"))), "820161")
  })
})
