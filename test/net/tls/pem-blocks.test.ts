import { assert, describe, it } from "@effect/vitest"
import { certificateBlocks } from "../../../src/net/tls/PemBlocks.ts"

const block = (label: string, content: string): string => `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----`

describe("the certificates in a PEM text", () => {
  it("are its blocks of that kind, in their order", () => {
    const [one, two, three] = [
      block("CERTIFICATE", "a"),
      block("TRUSTED CERTIFICATE", "b"),
      block("X509 CERTIFICATE", "c")
    ]
    const key = block("PRIVATE KEY", "k")
    const text = `subject: x\n${one}\n${key}\r\n${two}${three}\n`
    assert.deepStrictEqual(certificateBlocks(text), [one, two, three])
    assert.deepStrictEqual(certificateBlocks(text), [one, two, three], "a second call begins at the beginning")
    assert.deepStrictEqual(certificateBlocks(key), [])
  })

  it("end where one has no end", () => {
    const one = block("CERTIFICATE", "a")
    assert.deepStrictEqual(certificateBlocks(`${one}\n-----BEGIN CERTIFICATE-----\nb\n`), [one])
    assert.deepStrictEqual(certificateBlocks("-----BEGIN CERTIFICATE-----\n-----END TRUSTED CERTIFICATE-----"), [])
  })

  it("are found in one pass over a text that begins them again and again", () => {
    let looked = 0
    const text = "-----BEGIN CERTIFICATE-----\n".repeat(30_000)
    const counting = {
      indexOf: (part: string, from: number) => {
        looked++
        return text.indexOf(part, from)
      },
      slice: (from: number, to: number) => text.slice(from, to),
      toString: () => text
    } as unknown as string
    assert.deepStrictEqual(certificateBlocks(counting), [])
    assert.strictEqual(looked, 1, "looks for an end")
  })
})
