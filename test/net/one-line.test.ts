/** What nodes log of refusals: the advice at the end has to be in the line, whatever was compared. */
import { assert, it } from "@effect/vitest"
import { PeerRefused } from "../../src/protocol/PeerRpcs.ts"
import { oneLine } from "../../src/net/OneLine.ts"

const identity = "00d21abb-ac27-402c-a00a-a9531687f4ea"

it("the line of a refusal keeps its advice, and what strangers send has a bound", () => {
  for (const reason of ["cluster-identity", "certificate", "protocol-version"] as const) {
    const { message } = new PeerRefused({ reason, expected: `cluster identity ${identity}`, found: identity })
    const line = `peer port: refused a connection that says it is node 2: ${message}`
    assert.strictEqual(oneLine(line), line)
  }
  assert.isAtMost(oneLine("x\n".repeat(100_000)).length, 600)
  assert.strictEqual(oneLine("two\nlines"), "two lines")
})
