/** The scanner that CI runs over all that a run printed. */
import { randomBytes } from "node:crypto"
import { assert, describe, it } from "vitest"
import { formatToken } from "../../src/kv/model/access/Token.ts"
import { makeAuthority } from "../../src/certificates/Authority.ts"
import { Redacted, Result } from "effect"
import { secretsIn } from "../../tools/secrets/Scan.ts"

const token = formatToken("shop", randomBytes(32))

/** A character that is another one. */
const changed = (text: string, at: number): string =>
  `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`

describe("the scanner of output", () => {
  it.each([
    ["alone", token],
    ["in a line", `client port: refused ${token}: unknown`],
    ["in JSON", JSON.stringify({ message: `first\n${token}\nlast` })],
    ["in colours", `\u001b[31m${token.slice(0, 20)}\u001b[0m${token.slice(20)}`],
    ["before more digits", `${token}0123`],
    ["behind another beginning", `fdb_x_fdb_${token}`],
    ["with a name that has the separator in it", formatToken("shop_of_2", randomBytes(32))],
    ["with the longest name", formatToken("n".repeat(64), randomBytes(32))]
  ])("finds a token %s", (_, line) => {
    assert.deepStrictEqual(secretsIn(line), ["token"])
  })

  it.each([
    ["mistyped", changed(token, token.length - 10)],
    ["cut", token.slice(0, -1)],
    ["of which only the name is told", "fdb_shop_…"],
    ["in pieces", `${token.slice(0, 30)}\n${token.slice(30)}`],
    ["absent", "0 secrets"]
  ])("does not take for a token what is %s", (_, line) => {
    assert.deepStrictEqual(secretsIn(line), [])
  })

  it("finds private keys, with their frame and without", () => {
    const key = Redacted.value(Result.getOrThrow(makeAuthority({ cluster: "test", nowMs: Date.now() })).key)
    const [frame = "", body = ""] = key.split("\n")
    assert.deepStrictEqual(secretsIn(frame), ["private key"])
    assert.deepStrictEqual(secretsIn(`key: ${body}`), ["private key"])
    assert.deepStrictEqual(secretsIn(JSON.stringify({ key })), ["private key"])
  })

  it("does not take a certificate, or talk of keys, for a key", () => {
    const { certificate } = Result.getOrThrow(makeAuthority({ cluster: "test", nowMs: Date.now() }))
    for (const line of [...certificate.split("\n"), "a PRIVATE KEY is expected"]) {
      assert.deepStrictEqual(secretsIn(line), [])
    }
  })
})
